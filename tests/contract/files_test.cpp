// Files: every operation, typed and as JSON, with names and contents of every kind.
#include <set>
#include <thread>

#include "lab.hpp"

using namespace svm::test;
using stacyvm::Pairs, stacyvm::Stream;

namespace {

constexpr uint64_t kMiB = 1 << 20;
constexpr size_t kMaxPath = 4095;

struct FileLab : Lab {
  std::string call(const std::string& op, const std::string& body = "", Pairs pairs = {}) {
    pairs.emplace_back("id", sandbox.id());
    return session.call(op, pairs, body);
  }
  int32_t refusal(const std::string& op, const std::string& body) {
    return code_of([&] { call(op, body); });
  }
};

bool has(const std::string& text, const std::string& part) { return text.find(part) != text.npos; }

/// A pattern that no shift or swap of blocks leaves as it is.
char pattern(uint64_t position) { return static_cast<char>(position * 31 + (position >> 12) * 7 + (position >> 20)); }

}  // namespace

TEST_CASE("the operations are those that these tests know") {
  const std::set<std::string> known = {"sandbox.spawn", "sandbox.get", "sandbox.list", "sandbox.destroy", "sandbox.extend", "sandbox.update",
                                       "sandbox.stats", "sandbox.prune", "sandbox.logs", "sandbox.console", "event.follow", "exec.run", "exec.start", "exec.list",
                                       "exec.get", "exec.attach", "exec.processes", "exec.signal", "exec.kill", "exec.resize", "file.read", "file.write",
                                       "file.upload", "file.staged", "file.list", "file.stat", "file.glob", "file.search", "file.replace", "file.move", "file.copy", "file.symlink", "file.chmod", "file.mkdir", "file.remove", "file.watch", "file.tar_get", "file.tar_put",
                                       "port.dial", "port.wait", "port.list", "sandbox.admission", "template.create", "template.list", "template.get", "template.update",
                                       "template.delete", "template.spawn", "provider.list", "provider.get", "provider.test", "quota.summary", "pool.status",
                                       "system.health", "system.live", "system.ready", "system.metrics", "system.prometheus"};
  const std::string json = stacyvm::operations();
  size_t count = 0;
  for (const std::string& name : known) CHECK(has(json, "\"name\":\"" + name + "\""));
  for (size_t at = json.find("\"shape\":"); at != json.npos; at = json.find("\"shape\":", at + 1)) ++count;
  CHECK(count == known.size());
}

TEST_CASE("written, read, described, listed, found, moved, changed and removed") {
  FileLab lab;
  CHECK(has(lab.call("file.write", R"({"path":"/workspace/d/a.txt","content":"one","mode":"0640"})"), "\"status\""));
  const std::string stat = lab.call("file.stat", R"({"path":"/workspace/d/a.txt"})");
  CAPTURE(stat);
  for (const char* member : {R"("size":3)", R"("mode":"0640")", R"("type":"file")", R"("is_dir":false)", R"("uid":1000)", R"("nlink":1)"}) CHECK(has(stat, member));
  lab.call("file.write", R"({"path":"/workspace/d/a.txt","content":" two","append":true})");
  CHECK(lab.sandbox.read_file("/workspace/d/a.txt") == "one two");
  CHECK(lab.refusal("file.write", R"({"path":"/workspace/d/a.txt","content":"","exclusive":true})") == STACYVM_E_CONFLICT);
  CHECK(lab.refusal("file.write", R"({"path":"/workspace/none/a","content":"","parents":false})") == STACYVM_E_FILE_NOT_FOUND);

  lab.call("file.mkdir", R"({"path":"/workspace/d/sub","mode":"0700"})");
  CHECK(lab.refusal("file.mkdir", R"({"path":"/workspace/d/sub"})") == STACYVM_E_CONFLICT);
  lab.call("file.mkdir", R"({"path":"/workspace/d/sub/x/y","parents":true})");
  CHECK((lab.sandbox.stat("/workspace/d/sub").mode & 07777) == 0700);
  const std::string list = lab.call("file.list", R"({"path":"/workspace/d"})");
  CHECK(list.find("/workspace/d/a.txt") < list.find("/workspace/d/sub"));
  CHECK(lab.call("file.glob", R"({"pattern":"/workspace/**/*.txt"})") == R"(["/workspace/d/a.txt"])");
  CHECK(lab.call("file.glob", R"({"pattern":"/workspace/*.none"})") == "[]");

  lab.call("file.move", R"({"old_path":"/workspace/d/a.txt","new_path":"/workspace/d/sub/b"})");
  CHECK(lab.refusal("file.stat", R"({"path":"/workspace/d/a.txt"})") == STACYVM_E_FILE_NOT_FOUND);
  lab.sandbox.write_file("/workspace/d/c", "c");
  CHECK(lab.refusal("file.move", R"({"old_path":"/workspace/d/c","new_path":"/workspace/d/sub/b","replace":false})") == STACYVM_E_CONFLICT);
  lab.call("file.move", R"({"old_path":"/workspace/d/c","new_path":"/workspace/d/made/here/c"})");
  CHECK(lab.sandbox.read_file("/workspace/d/made/here/c") == "c");
  lab.call("file.move", R"({"old_path":"/workspace/d/made/here/c","new_path":"/workspace/d/c"})");
  lab.call("file.remove", R"({"path":"/workspace/d/made","recursive":true})");
  CHECK(lab.refusal("file.move", R"({"old_path":"/workspace/d/none","new_path":"/workspace/d/made/c"})") == STACYVM_E_FILE_NOT_FOUND);
  CHECK(lab.refusal("file.stat", R"({"path":"/workspace/d/made"})") == STACYVM_E_FILE_NOT_FOUND);  // nothing is made for what cannot be moved
  lab.call("file.chmod", R"({"path":"/workspace/d/c","mode":"0604"})");
  CHECK((lab.sandbox.stat("/workspace/d/c").mode & 07777) == 0604);

  CHECK(lab.refusal("file.remove", R"({"path":"/workspace/d"})") == STACYVM_E_CONFLICT);
  lab.call("file.remove", R"({"path":"/workspace/d/c"})");
  lab.call("file.remove", R"({"path":"/workspace/d","recursive":true})");
  CHECK(lab.refusal("file.list", R"({"path":"/workspace/d"})") == STACYVM_E_FILE_NOT_FOUND);
}

TEST_CASE("a symbolic link is made, and told where it points") {
  FileLab lab;
  lab.call("file.symlink", R"({"path":"/workspace/l/made","target":"../no/such"})");
  CHECK(has(lab.call("file.stat", R"({"path":"/workspace/l/made","follow":false})"), R"("target":"../no/such"})"));
  CHECK(has(lab.call("file.list", R"({"path":"/workspace/l"})"), R"("target":"../no/such"})"));
  CHECK(lab.refusal("file.symlink", R"({"path":"/workspace/l/made","target":"x"})") == STACYVM_E_CONFLICT);
  lab.call("file.symlink", R"({"path":"/workspace/l/made","target_b64":"/w==","replace":true})");
  CHECK(has(lab.call("file.stat", R"({"path":"/workspace/l/made","follow":false})"), R"("target_b64":"/w=="})"));
  lab.sandbox.write_file("/workspace/l/file", "x");
  const std::string file = lab.call("file.stat", R"({"path":"/workspace/l/file"})");
  CHECK_FALSE(has(file, "target"));
  lab.call("file.symlink", R"({"path":"/workspace/l/file","target":"made","replace":true})");
  CHECK(lab.refusal("file.symlink", R"({"path":"/workspace/l","target":"made","replace":true})") != STACYVM_OK);  // a directory stays
  CHECK(lab.refusal("file.symlink", R"({"path":"/workspace/l/e","target":""})") == STACYVM_E_INVALID);
  CHECK(lab.refusal("file.symlink", R"({"path":"/proc/l","target":"x"})") == STACYVM_E_FORBIDDEN);
  const std::string all = lab.call("file.glob", R"({"pattern":"/workspace/l/.*"})");
  CHECK(all == "[]");
  // Of the kernel's own links each shows what the one who asks may see, and the agent would be asking.
  CHECK_FALSE(has(lab.call("file.stat", R"({"path":"/proc/self","follow":false})"), "target"));
  // One that leads out of the root leads to the sandbox's own root.
  lab.call("file.symlink", R"({"path":"/workspace/l/out","target":"../../../../../../etc"})");
  CHECK(has(lab.call("file.list", R"({"path":"/workspace/l/out"})"), "/workspace/l/out/passwd"));
  const std::string longest(4095, 't');
  lab.call("file.symlink", R"({"path":"/workspace/l/long","target":")" + longest + "\"}");
  CHECK(has(lab.call("file.stat", R"({"path":"/workspace/l/long","follow":false})"), longest + "\"}"));
  CHECK(lab.refusal("file.symlink", R"({"path":"/workspace/l/longer","target":")" + longest + "t\"}") == STACYVM_E_INVALID);
}

TEST_CASE("owner and group are what the user may set") {
  FileLab lab;
  lab.sandbox.write_file("/workspace/o", "x");
  CHECK(lab.refusal("file.chmod", R"({"path":"/workspace/o"})") == STACYVM_E_INVALID);
  lab.call("file.chmod", R"({"path":"/workspace/o","owner":"1000","group":"1000","mode":"0604"})");  // as it is: nothing is given away
  CHECK((lab.sandbox.stat("/workspace/o").mode & 07777) == 0604);
  lab.call("file.chmod", R"({"path":"/workspace/o","owner":"1000"})");
  CHECK((lab.sandbox.stat("/workspace/o").mode & 07777) == 0604);
  for (const char* field : {"owner", "group"}) {
    const std::string body = std::string(R"({"path":"/workspace/o",")") + field + "\":\"no-such-name\"}";
    CHECK(lab.refusal("file.chmod", body) == STACYVM_E_INVALID);
    CHECK(details_of([&] { lab.call("file.chmod", body); }) == std::string(R"({"field":")") + field + "\"}");
    const bool many = enforces(lab.sandbox, "user_per_exec");
    const std::string beyond = std::string(R"({"path":"/workspace/o",")") + field + "\":\"4000000000\"}";
    CHECK(lab.refusal("file.chmod", beyond) == (many ? STACYVM_E_INVALID : STACYVM_E_UNSUPPORTED));
    CHECK(details_of([&] { lab.call("file.chmod", beyond); }) == std::string(R"({"field":")") + field + "\"}");
    // Giving a file away is root's alone, and taking another's.
    const std::string away = std::string(R"({"path":"/workspace/o",")") + field + "\":\"0\"}";
    CHECK(lab.refusal("file.chmod", away) == (many ? STACYVM_E_FORBIDDEN : STACYVM_E_UNSUPPORTED));
  }
  const auto stat = lab.sandbox.stat("/workspace/o");
  CHECK(stat.uid == 1000);
  CHECK(stat.gid == 1000);
}

TEST_CASE("files and trees are copied inside the sandbox") {
  FileLab lab;
  sh(lab.sandbox, "mkdir -p /workspace/t/a/b /workspace/t/locked /workspace/t/empty && cd /workspace/t && echo one > a/one && echo two > a/b/two && chmod 640 a/one && "
                  "chmod 4711 a/b/two && ln -s a/one rel && ln -s / root && ln -s ../../.. up && : > 'odd\nname \\ \"' && echo in > locked/in && chmod 555 locked && chmod 1777 empty && "
                  "truncate -s 1G sparse && echo end >> sparse");
  const auto clean = [&] { return lab.call("file.glob", R"({"pattern":"/workspace/.stacyvm-*"})") == "[]"; };
  lab.call("file.copy", R"({"path":"/workspace/t/a/one","new_path":"/workspace/new/dir/one"})");
  CHECK(lab.sandbox.read_file("/workspace/new/dir/one") == "one\n");
  CHECK((lab.sandbox.stat("/workspace/new/dir/one").mode & 07777) == 0640);
  CHECK(lab.refusal("file.copy", R"({"path":"/workspace/t/a/b/two","new_path":"/workspace/new/dir/one","replace":false})") == STACYVM_E_CONFLICT);
  lab.call("file.copy", R"({"path":"/workspace/t/a/b/two","new_path":"/workspace/new/dir/one"})");
  CHECK(lab.sandbox.read_file("/workspace/new/dir/one") == "two\n");
  CHECK((lab.sandbox.stat("/workspace/new/dir/one").mode & 07777) == 0711);

  CHECK(lab.refusal("file.copy", R"({"path":"/workspace/t","new_path":"/workspace/u"})") == STACYVM_E_INVALID);
  lab.call("file.copy", R"({"path":"/workspace/t","new_path":"/workspace/u","recursive":true})");
  // The same names, kinds, modes, links and contents; the sparse file takes next to nothing.
  sh(lab.sandbox, "cd /workspace && chmod 711 t/a/b/two && l() { (cd $1 && find . -printf '%p %y %m %l\\n' | sort); } && test \"$(l t)\" = \"$(l u)\" && "
                  "test $(du -k u/sparse | cut -f1) -lt 1024 && test $(stat -c %s u/sparse) = 1073741828 && test $(tail -c 4 u/sparse) = end && cmp t/a/one u/a/one && cmp t/locked/in u/locked/in");
  CHECK(lab.refusal("file.copy", R"({"path":"/workspace/t","new_path":"/workspace/u","recursive":true})") == STACYVM_E_CONFLICT);
  lab.call("file.copy", R"({"path":"/workspace/t","new_path":"/workspace/u/empty","recursive":true})");
  lab.call("file.copy", R"({"path":"/workspace/t/root","new_path":"/workspace/link","recursive":true})");
  CHECK(lab.sandbox.stat("/workspace/link", STACYVM_FILE_NO_FOLLOW).type == STACYVM_TYPE_SYMLINK);

  // Onto itself, into itself, through links too.
  sh(lab.sandbox, "ln -s t/a /workspace/alias; ln /workspace/t/a/one /workspace/hard");
  for (const char* body : {R"({"path":"/workspace/t/a/one","new_path":"/workspace/t/a/one"})", R"({"path":"/workspace/t/a/one","new_path":"/workspace/alias/one"})",
                           R"({"path":"/workspace/t/a/one","new_path":"/workspace/hard"})", R"({"path":"/workspace/t","new_path":"/workspace/t","recursive":true})",
                           R"({"path":"/workspace/t","new_path":"/workspace/t/a/x","recursive":true})", R"({"path":"/workspace/t","new_path":"/workspace/alias/n/x","recursive":true})",
                           R"({"path":"/workspace","new_path":"/workspace/u/up/../../workspace/z","recursive":true})"}) {
    CAPTURE(std::string(body));
    CHECK(lab.refusal("file.copy", body) == STACYVM_E_INVALID);
  }
  CHECK(lab.refusal("file.stat", R"({"path":"/workspace/t/a/n"})") == STACYVM_E_FILE_NOT_FOUND);  // nothing was made for it
  CHECK(lab.sandbox.read_file("/workspace/t/a/one") == "one\n");

  // What has no content is refused by its name, and nothing is left: not even of directories that may not be written.
  sh(lab.sandbox, "mkfifo /workspace/t/a/b/fifo");
  std::string refused;
  try {
    lab.call("file.copy", R"({"path":"/workspace/t","new_path":"/workspace/v","recursive":true})");
  } catch (const stacyvm::Error& error) {
    refused = error.what();
  }
  CHECK(has(refused, "/workspace/t/a/b/fifo"));
  CHECK(lab.refusal("file.copy", R"({"path":"/workspace/t","new_path":"/workspace/v","recursive":true})") == STACYVM_E_INVALID);
  CHECK(lab.refusal("file.copy", R"({"path":"/dev/null","new_path":"/workspace/v"})") == STACYVM_E_INVALID);
  CHECK(lab.refusal("file.copy", R"({"path":"/proc/self/environ","new_path":"/workspace/v"})") == STACYVM_E_FORBIDDEN);
  CHECK(lab.refusal("file.copy", R"({"path":"/proc","new_path":"/workspace/v","recursive":true})") != STACYVM_OK);
  CHECK(lab.refusal("file.copy", R"({"path":"/workspace/none","new_path":"/workspace/made/v"})") == STACYVM_E_FILE_NOT_FOUND);
  CHECK(lab.refusal("file.stat", R"({"path":"/workspace/made"})") == STACYVM_E_FILE_NOT_FOUND);
  CHECK(lab.refusal("file.stat", R"({"path":"/workspace/v"})") == STACYVM_E_FILE_NOT_FOUND);
  CHECK(clean());
}

TEST_CASE("a listing goes as deep as asked") {
  FileLab lab;
  lab.sandbox.write_file("/workspace/t/a/b/c/file", "x");
  lab.sandbox.write_file("/workspace/t/top", "x");
  sh(lab.sandbox, "ln -s /workspace/t/a /workspace/t/link");
  const auto paths = [&](const std::string& depth) {
    const std::string json = lab.call("file.list", R"({"path":"/workspace/t",)" + depth + "}");
    std::string all;
    const std::string key = "\"path\":\"/workspace/t/";
    for (size_t at = json.find(key); at != json.npos; at = json.find(key, at + 1)) all += json.substr(at + key.size(), json.find('"', at + key.size()) - at - key.size()) + ' ';
    return all;
  };
  CHECK(paths(R"("depth":1)") == "a link top ");
  CHECK(paths(R"("depth":2)") == "a a/b link top ");
  CHECK(paths(R"("depth":64)") == "a a/b a/b/c a/b/c/file link top ");
  CHECK(lab.refusal("file.list", R"({"path":"/workspace/t","depth":0})") == STACYVM_E_INVALID);
  CHECK(lab.refusal("file.list", R"({"path":"/workspace/t","depth":65})") == STACYVM_E_INVALID);
  CHECK(lab.refusal("file.list", R"({"path":"/workspace/t","depth":64,"limit":6})") == STACYVM_OK);
  CHECK(lab.refusal("file.list", R"({"path":"/workspace/t","depth":64,"limit":5})") == STACYVM_E_LIMIT);
}

TEST_CASE("lines are searched, in a file and below a directory") {
  FileLab lab;
  lab.sandbox.write_file("/workspace/s/one.txt", "first\na needle here\nneedle needle\nlast needle");
  lab.sandbox.write_file("/workspace/s/d/two.txt", "nothing\nneedle\n");
  lab.sandbox.write_file("/workspace/s/binary", std::string("needle\0needle", 13));
  lab.sandbox.write_file("/workspace/s/long", std::string(200'000, 'x') + "needle" + std::string(200'000, 'y') + "\nneedle");
  sh(lab.sandbox, "ln -s one.txt /workspace/s/link; ln -s /workspace/s/d /workspace/s/dirlink; mkfifo /workspace/s/fifo");
  CHECK(lab.call("file.search", R"({"path":"/workspace/s/one.txt","text":"needle"})") ==
        R"({"matches":[{"path":"/workspace/s/one.txt","line":2,"text":"a needle here"},{"path":"/workspace/s/one.txt","line":3,"text":"needle needle"},)"
        R"({"path":"/workspace/s/one.txt","line":4,"text":"last needle"}],"files":1,"skipped":0,"more":false})");
  const std::string all = lab.call("file.search", R"({"path":"/workspace/s","text":"needle"})");
  CAPTURE(all);
  CHECK(has(all, R"({"path":"/workspace/s/d/two.txt","line":2,"text":"needle"})"));
  CHECK(has(all, R"("path":"/workspace/s/long","line":2,"text":"needle")"));
  CHECK(has(all, R"("line":1,"text":")" + std::string(512, 'x') + "\""));  // the line's beginning, although the text is far behind it
  CHECK(has(all, R"("files":3,"skipped":1,"more":false)"));                  // a link is no file of its own, and the binary one is no text
  CHECK_FALSE(has(all, "link"));
  CHECK(has(lab.call("file.search", R"({"path":"/workspace/s","text":"needle","limit":2})"), R"("more":true)"));
  CHECK(has(lab.call("file.search", R"({"path":"/workspace/s","text":"needle","limit":6})"), R"("more":false)"));
  CHECK(has(lab.call("file.search", R"({"path":"/workspace/s","text":"none"})"), R"({"matches":[],"files":3,)"));
  CHECK(lab.refusal("file.search", R"({"path":"/workspace/none","text":"x"})") == STACYVM_E_FILE_NOT_FOUND);
  CHECK(lab.refusal("file.search", R"({"path":"/workspace/s/fifo","text":"x"})") == STACYVM_E_INVALID);
  CHECK(lab.refusal("file.search", R"({"path":"/workspace/s","text":""})") == STACYVM_E_INVALID);
  CHECK(lab.refusal("file.search", R"({"path":"/workspace/s","text":"a\nb"})") == STACYVM_E_INVALID);
  CHECK(lab.refusal("file.search", R"({"path":"/proc","text":"x"})") != STACYVM_OK);
}

TEST_CASE("a text is replaced in a file, whole or not at all") {
  FileLab lab;
  lab.call("file.write", R"({"path":"/workspace/r","content":"one two one\none","mode":"0640"})");
  const uint64_t inode = lab.sandbox.stat("/workspace/r").inode;
  CHECK(lab.call("file.replace", R"({"path":"/workspace/r","text":"none","replacement":"x"})") == R"({"replaced":0})");
  CHECK(lab.sandbox.stat("/workspace/r").inode == inode);
  CHECK(lab.call("file.replace", R"({"path":"/workspace/r","text":"one","replacement":"oneone"})") == R"({"replaced":3})");
  CHECK(lab.sandbox.read_file("/workspace/r") == "oneone two oneone\noneone");
  CHECK((lab.sandbox.stat("/workspace/r").mode & 07777) == 0640);
  CHECK(lab.call("file.replace", R"({"path":"/workspace/r","text":"one"})") == R"({"replaced":6})");
  CHECK(lab.sandbox.read_file("/workspace/r") == " two \n");
  // Larger than any buffer, and growing: a quarter of a million matches.
  std::string large(250'000, 'a');
  lab.sandbox.write_file("/workspace/large", large);
  CHECK(lab.call("file.replace", R"({"path":"/workspace/large","text":"a","replacement":"bcd"})") == R"({"replaced":250000})");
  std::string expected;
  for (size_t i = 0; i < large.size(); ++i) expected += "bcd";
  CHECK(lab.sandbox.read_file("/workspace/large") == expected);
  CHECK(lab.refusal("file.replace", R"({"path":"/workspace/none","text":"x","replacement":"y"})") == STACYVM_E_FILE_NOT_FOUND);
  CHECK(lab.refusal("file.replace", R"({"path":"/workspace","text":"x","replacement":"y"})") == STACYVM_E_INVALID);
  CHECK(lab.refusal("file.replace", R"({"path":"/usr/bin/env","text":"E","replacement":"y"})") != STACYVM_OK);
  CHECK(lab.call("file.glob", R"({"pattern":"/workspace/.*"})") == "[]");  // nothing temporary is left
}

TEST_CASE("a writer that is refused says why, whenever the refusal comes") {
  constexpr int kTries = 300;
  FileLab lab;
  for (int i = 0; i < kTries; ++i) {
    stacyvm::Stream writer = lab.sandbox.writer("/workspace");
    const int32_t code = code_of([&] {
      for (;;) writer.write("x");
    });
    REQUIRE(code == STACYVM_E_INVALID);
  }
}

TEST_CASE("at the root there is room for what is the user's, and what is not stays as it is") {
  FileLab lab;
  lab.sandbox.write_file("/app/main", "x");
  CHECK(lab.sandbox.stat("/app").uid == 1000);
  CHECK(sh(lab.sandbox, "mkdir /data && echo y > /data/y && mv /data /output && cat /output/y") == "y\n");
  CHECK(lab.sandbox.exec(stacyvm::Exec::sh("mv /usr /elsewhere")).exit_code != 0);
  if (enforces(lab.sandbox, "id_range"))
    CHECK(lab.sandbox.exec(stacyvm::Exec::sh("mv /etc /elsewhere || rm -r /root || mv /bin /elsewhere || rmdir /tmp")).exit_code != 0);
  CHECK(sh(lab.sandbox, "ls /etc/passwd /bin/sh") == "/bin/sh\n/etc/passwd\n");
}

TEST_CASE("files act as the sandbox's user") {
  FileLab lab;
  // Where one id is mapped, the generated /etc is the user's own, too.
  if (enforces(lab.sandbox, "id_range")) CHECK(code_of([&] { lab.sandbox.write_file("/etc/passwd", "x"); }) == STACYVM_E_FORBIDDEN);
  CHECK(code_of([&] { lab.sandbox.write_file("/usr/x", "x"); }) != STACYVM_OK);
  CHECK(lab.refusal("file.remove", R"({"path":"/usr","recursive":true})") != STACYVM_OK);
  CHECK(lab.sandbox.stat("/usr/bin").type == STACYVM_TYPE_DIRECTORY);
  lab.sandbox.write_file("/tmp/mine", "x");
  CHECK(lab.sandbox.stat("/tmp/mine").uid == 1000);
  if (enforces(lab.sandbox, "user_per_exec")) {
    lab.call("file.write", R"({"path":"/tmp/roots","content":"x","mode":"0600","user":"root"})");
    CHECK(lab.sandbox.stat("/tmp/roots").uid == 0);
    CHECK(code_of([&] { lab.sandbox.read_file("/tmp/roots"); }) == STACYVM_E_FORBIDDEN);
  } else {
    const std::pair<const char*, const char*> operations[] = {
        {"file.write", R"("path":"/tmp/mine","content":"x")"}, {"file.stat", R"("path":"/tmp/mine")"}, {"file.list", R"("path":"/tmp")"},
        {"file.glob", R"("pattern":"/tmp/*")"}, {"file.move", R"("old_path":"/tmp/mine","new_path":"/tmp/theirs")"},
        {"file.chmod", R"("path":"/tmp/mine","mode":"0600")"}, {"file.copy", R"("path":"/tmp/mine","new_path":"/tmp/c")"},
        {"file.symlink", R"("path":"/tmp/l","target":"mine")"}, {"file.mkdir", R"("path":"/tmp/d")"}, {"file.remove", R"("path":"/tmp/mine")"}};
    for (const auto& [op, members] : operations)
      for (const char* user : {"root", "nobody", "1234", "65534:65534", "1000:7"}) {
        const std::string body = std::string("{") + members + ",\"user\":\"" + user + "\"}";
        CAPTURE(std::string(op));
        CAPTURE(body);
        CHECK(lab.refusal(op, body) == STACYVM_E_UNSUPPORTED);
        CHECK(details_of([&] { lab.call(op, body); }) == R"({"field":"user"})");
      }
    CHECK(lab.sandbox.read_file("/tmp/mine") == "x");
  }
  // A user that there is not is a mistake everywhere.
  CHECK(lab.refusal("file.write", R"({"path":"/tmp/x","content":"x","user":"alice"})") == STACYVM_E_INVALID);
  CHECK(details_of([&] { lab.call("file.write", R"({"path":"/tmp/x","content":"x","user":"alice"})"); }) == R"({"field":"user"})");
}

TEST_CASE("names and contents of any bytes") {
  FileLab lab;
  const std::string name = "/tmp/n \xff\xfe\n\"'\\\xc3\xa9";
  const std::string bytes("\0\xff\r\n\x80", 5);
  lab.sandbox.write_file(name, bytes);
  CHECK(lab.sandbox.read_file(name) == bytes);
  CHECK(has(lab.call("file.list", R"({"path":"/tmp"})"), R"("path_b64":"L3RtcC9uIP/+CiInXMOp")"));
  CHECK(has(lab.call("file.stat", R"({"path_b64":"L3RtcC9uIP/+CiInXMOp"})"), R"("size":5)"));
  lab.call("file.write", R"({"path":"/tmp/text","content_b64":"AP8NCoA="})");
  CHECK(lab.sandbox.read_file("/tmp/text") == bytes);
  CHECK(lab.refusal("file.write", R"({"path":"/tmp/text","content_b64":"?"})") == STACYVM_E_INVALID);
  lab.call("file.write", R"({"path":"/tmp/gr\u00fc\u00df","content":"\ud83d\ude00"})");
  CHECK(lab.sandbox.read_file("/tmp/gr\xc3\xbc\xc3\x9f") == "\xf0\x9f\x98\x80");
}

TEST_CASE("sizes around every buffer's, read in whole and in part") {
  FileLab lab;
  for (const size_t size : {size_t{0}, size_t{1}, size_t{4095}, size_t{4096}, size_t{65535}, size_t{65536}, size_t{65537}, size_t{1 << 20}, size_t{(1 << 20) + 1}}) {
    CAPTURE(size);
    std::string bytes(size, '\0');
    for (size_t i = 0; i < size; ++i) bytes[i] = pattern(i);
    lab.sandbox.write_file("/tmp/sized", bytes);
    CHECK(lab.sandbox.read_file("/tmp/sized") == bytes);
    CHECK(lab.sandbox.reader("/tmp/sized", size / 2).read_all() == bytes.substr(size / 2));
    CHECK(lab.sandbox.reader("/tmp/sized", 0, 1).read_all() == bytes.substr(0, 1));
    CHECK(lab.sandbox.reader("/tmp/sized", size).read_all() == "");
    CHECK(lab.sandbox.reader("/tmp/sized", size + 1).read_all() == "");
    if (size > 1) CHECK(code_of([&] { lab.sandbox.read_file("/tmp/sized", size - 1); }) == STACYVM_E_LIMIT);
  }
}

TEST_CASE("a large file streams in and out unchanged") {
  constexpr uint64_t kSize = 160 * kMiB;
  FileLab lab;
  std::string block(kMiB, '\0');
  Stream writer = lab.session.call_stream("file.upload", {{"id", lab.sandbox.id()}, {"path", "/workspace/large"}});
  for (uint64_t at = 0; at < kSize; at += block.size()) {
    for (size_t i = 0; i < block.size(); ++i) block[i] = pattern(at + i);
    REQUIRE(writer.write(block) == block.size());
  }
  REQUIRE(writer.finish());
  CHECK(lab.sandbox.stat("/workspace/large").size == kSize);
  Stream reader = lab.session.call_stream("file.read", {{"id", lab.sandbox.id()}, {"path", "/workspace/large"}});
  stacyvm_chunk chunk;
  uint64_t at = 0, wrong = 0;
  while (reader.next(chunk) == Stream::Next::chunk) {
    const char* data = static_cast<const char*>(chunk.data);
    for (uint64_t i = 0; i < chunk.size; ++i) wrong += data[i] != pattern(at + i);
    at += chunk.size;
  }
  CHECK(at == kSize);
  CHECK(wrong == 0);
}

TEST_CASE("a file that is being written appears whole or not at all") {
  FileLab lab;
  lab.sandbox.write_file("/tmp/old", "old");
  {
    Stream writer = lab.sandbox.writer("/tmp/old");
    writer.write("new");
    CHECK(lab.sandbox.read_file("/tmp/old") == "old");
  }
  CHECK(lab.sandbox.read_file("/tmp/old") == "old");
  CHECK(sh(lab.sandbox, "ls -A /tmp") == "old\n");  // nothing half-written is left
}

TEST_CASE("what cannot be is refused with its own code") {
  FileLab lab;
  sh(lab.sandbox, "mkdir /tmp/d && mkfifo /tmp/fifo && ln -s /tmp/d /tmp/link && ln -s loop /tmp/loop && touch /tmp/secret && chmod 0 /tmp/secret");
  CHECK(code_of([&] { lab.sandbox.read_file("/tmp/none"); }) == STACYVM_E_FILE_NOT_FOUND);
  CHECK(code_of([&] { lab.sandbox.read_file("/tmp/secret"); }) == STACYVM_E_FORBIDDEN);
  CHECK(code_of([&] { lab.sandbox.read_file("relative"); }) == STACYVM_E_INVALID);
  CHECK(code_of([&] { lab.sandbox.read_file(""); }) == STACYVM_E_INVALID);
  for (const char* path : {"/tmp/d", "/tmp/link", "/tmp/fifo", "/dev/null"}) {
    CAPTURE(std::string(path));
    CHECK(code_of([&] { lab.sandbox.read_file(path); }) == STACYVM_E_INVALID);
  }
  CHECK(code_of([&] { lab.sandbox.read_file("/tmp/loop"); }) != STACYVM_OK);
  CHECK(lab.sandbox.stat("/tmp/link", STACYVM_FILE_NO_FOLLOW).type == STACYVM_TYPE_SYMLINK);
  CHECK(lab.sandbox.stat("/tmp/link").type == STACYVM_TYPE_DIRECTORY);
  CHECK(lab.sandbox.stat("/tmp/fifo").type == STACYVM_TYPE_FIFO);
  CHECK(lab.sandbox.stat("/dev/null").type == STACYVM_TYPE_CHARACTER);
  CHECK(lab.refusal("file.write", R"({"path":"/tmp/x","content":"","mode":"0888"})") == STACYVM_E_INVALID);
  CHECK(lab.refusal("file.chmod", R"({"path":"/tmp/d"})") == STACYVM_E_INVALID);

  // A path's length: 4,095 bytes are looked up, 4,096 are refused.
  std::string path = "/tmp";
  while (path.size() < kMaxPath) path += "/.";
  path.resize(kMaxPath);
  if (path.back() == '/') path.back() = '.';
  CHECK(code_of([&] { lab.sandbox.stat(path); }) != STACYVM_E_INVALID);
  CHECK(code_of([&] { lab.sandbox.stat(path + "."); }) == STACYVM_E_INVALID);

  // A listing's: as many entries as there are, and one fewer.
  sh(lab.sandbox, "mkdir /tmp/ten && cd /tmp/ten && touch 0 1 2 3 4 5 6 7 8 9");
  CHECK(lab.refusal("file.list", R"({"path":"/tmp/ten","limit":10})") == STACYVM_OK);
  CHECK(lab.refusal("file.list", R"({"path":"/tmp/ten","limit":9})") == STACYVM_E_LIMIT);
  CHECK(lab.refusal("file.glob", R"({"pattern":"/tmp/ten/*","limit":10})") == STACYVM_OK);
  CHECK(lab.refusal("file.glob", R"({"pattern":"/tmp/ten/*","limit":9})") == STACYVM_E_LIMIT);
  CHECK(lab.refusal("file.list", R"({"path":"/tmp/ten","limit":100001})") == STACYVM_E_INVALID);
}

TEST_CASE("an upload goes on in a next stream, and nothing is there before its end") {
  FileLab lab;
  const auto staged = [&] { return lab.call("file.staged", R"({"path":"/tmp/new/file","upload":"part-1"})"); };
  const std::string mebibytes(3 * kMiB, 'x');
  CHECK(staged() == R"({"size":0})");
  {
    Stream first = lab.sandbox.upload("/tmp/new/file", "part-1");
    CHECK(first.write(mebibytes) == mebibytes.size());
  }
  // What a closed stream has sent arrives before what is asked after it.
  CHECK(staged() == "{\"size\":" + std::to_string(mebibytes.size()) + "}");
  CHECK(code_of([&] { lab.sandbox.stat("/tmp/new/file"); }) == STACYVM_E_FILE_NOT_FOUND);
  Stream wrong = lab.sandbox.upload("/tmp/new/file", "part-1", 1);
  try {
    wrong.finish();
    FAIL("it went on at a wrong place");
  } catch (const stacyvm::Error& error) {
    CHECK(error.code() == STACYVM_E_CONFLICT);
    CHECK(has(error.what(), std::to_string(mebibytes.size()) + " bytes of it have come"));
  }
  Stream second = lab.sandbox.upload("/tmp/new/file", "part-1", mebibytes.size(), 0600);
  CHECK(second.write("end") == 3);
  CHECK(second.finish());
  CHECK(lab.sandbox.read_file("/tmp/new/file") == mebibytes + "end");
  CHECK((lab.sandbox.stat("/tmp/new/file").mode & 07777) == 0600);
  CHECK(staged() == R"({"size":0})");
  CHECK(lab.refusal("file.staged", R"({"path":"/tmp/x","upload":""})") == STACYVM_E_INVALID);
  CHECK(code_of([&] { lab.sandbox.upload("/tmp/x", ""); }) == STACYVM_E_INVALID);
  CHECK(code_of([&] { lab.sandbox.upload("/tmp/x", "-"); }) == STACYVM_E_INVALID);
  CHECK(code_of([&] { lab.sandbox.upload("/tmp/x", "a", 1, 0, STACYVM_FILE_RESTART); }) == STACYVM_E_INVALID);
}
