// Whole trees out of and into a sandbox.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <map>
#include <thread>

#include "client.hpp"
#include "protocol/tree.hpp"

using namespace svm;
using namespace svm::agent::test;
using namespace svm::protocol;

namespace {

struct Box {
  TemporaryDirectory dir;
  Fd root;
  Client client;
  explicit Box(bool switches = false) : root(::open(dir.path().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)), client(setup(switches)) {}
  Client::Setup setup(bool switches) const {
    ::chmod(dir.path().c_str(), 0755);
    REQUIRE(::mkdir((dir / "t").c_str(), 0755) == 0);
    Client::Setup setup;
    setup.options.root = root.get();
    if (switches) {
      setup.hello.rootless = false;
      setup.hello.uid = setup.hello.gid = 1234;
      REQUIRE(::chown((dir / "t").c_str(), 1234, 1234) == 0);
    }
    return setup;
  }
  std::string at(const std::string& name) const { return dir / ("t/" + name); }
};

struct Tree {
  std::map<std::string, TreeEntry> entries;
  std::map<std::string, std::string> contents;
  std::vector<std::string> order;
  TreeSummary summary;
};

Tree parse(const Reply& reply) {
  REQUIRE_MESSAGE(reply.result.code == Code::ok, reply.result.message);
  Tree tree;
  TreeParser parser;
  std::string_view in = reply.bytes, content;
  TreeEntry entry;
  for (;;) {
    const auto item = parser.next(in, entry, content);
    if (item == TreeParser::Item::need_more) break;
    REQUIRE(item != TreeParser::Item::malformed);
    if (item == TreeParser::Item::content) {
      tree.contents[entry.path] += content;
      continue;
    }
    CHECK(tree.entries.emplace(entry.path, entry).second);
    tree.order.push_back(entry.path);
  }
  CHECK(parser.complete());
  REQUIRE(decode(reply.result.body, tree.summary));
  CHECK(tree.summary.entries == tree.entries.size());
  return tree;
}

TreeEntry entry(TreeType type, std::string path, uint32_t mode = 0644, std::string target = {}, uint64_t size = 0) {
  TreeEntry made;
  made.type = type;
  made.path = std::move(path);
  made.target = std::move(target);
  made.mode = mode;
  made.size = size;
  return made;
}

/// A tree being written.
struct Builder {
  std::string bytes;
  Builder& file(const std::string& path, const std::string& content, uint32_t mode = 0644) {
    encode(bytes, entry(TreeType::file, path, mode, {}, content.size()));
    bytes += content;
    return *this;
  }
  Builder& other(TreeType type, const std::string& path, uint32_t mode = 0755, const std::string& target = {}) {
    encode(bytes, entry(type, path, mode, target));
    return *this;
  }
};

Reply unpack(Client& client, const std::string& bytes, const std::string& path = "/t", const std::string& user = {}) {
  const uint32_t stream = client.start(UnpackRequest{path, user});
  client.send_bytes(stream, bytes);
  client.end(stream);
  return client.wait(stream);
}

bool exists(const std::string& path) {
  struct stat info;
  return ::lstat(path.c_str(), &info) == 0;
}
uint32_t mode_of(const std::string& path) {
  struct stat info;
  REQUIRE(::lstat(path.c_str(), &info) == 0);
  return info.st_mode & 07777;
}

}  // namespace

TEST_CASE("every kind of entry, once, parents before what is in them") {
  Box box;
  std::filesystem::create_directories(box.at("d/e"));
  write_text(box.at("d/e/file"), "content");
  write_text(box.at("empty"), "");
  const std::string large(1'000'000, 'L');
  write_text(box.at("large"), large);
  REQUIRE(::symlink("/etc/passwd", box.at("link").c_str()) == 0);
  REQUIRE(::link(box.at("d/e/file").c_str(), box.at("hard").c_str()) == 0);
  REQUIRE(::mkfifo(box.at("fifo").c_str(), 0600) == 0);
  REQUIRE(::chmod(box.at("empty").c_str(), 04711) == 0);
  const Tree tree = parse(box.client.call(PackRequest{"/t", {}}));
  CHECK(tree.entries.size() == 7);
  CHECK(tree.summary.skipped == 1);
  CHECK(tree.summary.bytes == 7 + large.size());
  CHECK(tree.entries.at("empty").mode == 04711);
  CHECK(tree.entries.at("link").target == "/etc/passwd");
  CHECK(tree.contents.at("large") == large);
  const bool first_is_hard = tree.entries.at("hard").type == TreeType::file;
  const std::string first = first_is_hard ? "hard" : "d/e/file", second = first_is_hard ? "d/e/file" : "hard";
  CHECK(tree.contents.at(first) == "content");
  CHECK(tree.entries.at(second).type == TreeType::hardlink);
  CHECK(tree.entries.at(second).target == first);
  const auto position = [&](const std::string& path) { return std::find(tree.order.begin(), tree.order.end(), path) - tree.order.begin(); };
  CHECK(position("d") < position("d/e"));
  CHECK(position("d/e") < position("d/e/file"));
  CHECK(position(first) < position(second));
}

TEST_CASE("one file is a tree of itself, and nothing else is") {
  Box box;
  write_text(box.at("f"), "one");
  const Tree tree = parse(box.client.call(PackRequest{"/t/f", {}}));
  CHECK(tree.contents.at("f") == "one");
  CHECK(tree.entries.size() == 1);
  CHECK(parse(box.client.call(PackRequest{"/t", {}})).entries.size() == 1);
  CHECK(box.client.call(PackRequest{"/none", {}}).result.code == Code::file_not_found);
  REQUIRE(::mkfifo(box.at("fifo").c_str(), 0600) == 0);
  CHECK(box.client.call(PackRequest{"/t/fifo", {}}).result.code == Code::invalid);
  Client whole;
  CHECK(whole.call(PackRequest{"/proc/sys", {}}).result.code == Code::forbidden);
}

TEST_CASE("names of any bytes go out and come in again") {
  Box box;
  const std::string names[] = {"-rf", "new\nline", "\xff\xfe", std::string(255, 'n'), " ", "\\"};
  for (const std::string& name : names) write_text(box.at(name), name);
  const Reply packed = box.client.call(PackRequest{"/t", {}});
  const Tree tree = parse(packed);
  for (const std::string& name : names) CHECK(tree.contents.at(name) == name);
  REQUIRE(unpack(box.client, packed.bytes, "/copy").result.code == Code::ok);
  for (const std::string& name : names) CHECK(read_text(box.dir / ("copy/" + name)) == name);
}

TEST_CASE("thousands of files, and a reader that is slow") {
  Box box;
  for (int i = 0; i < 3000; ++i) {
    if (i % 100 == 0) REQUIRE(::mkdir(box.at("d" + std::to_string(i / 100)).c_str(), 0755) == 0);
    write_text(box.at("d" + std::to_string(i / 100) + "/" + std::to_string(i)), std::string(static_cast<size_t>(i), static_cast<char>('a' + i % 26)));
  }
  box.client.grant = false;
  const uint32_t stream = box.client.start(PackRequest{"/t", {}});
  box.client.pump([] { return false; }, 100);
  CHECK(box.client.reply(stream).bytes.size() == kWindow);
  box.client.grant = true;
  const uint32_t credit = 64u << 20;
  std::string window;
  for (int i = 0; i < 4; ++i) window += static_cast<char>(credit >> (8 * i) & 0xff);
  box.client.frame(FrameType::window, stream, window);
  const Reply reply = box.client.wait(stream);
  const Tree tree = parse(reply);
  CHECK(tree.entries.size() == 3030);
  CHECK(tree.contents.at("d29/2999") == std::string(2999, static_cast<char>('a' + 2999 % 26)));
  const Reply back = unpack(box.client, reply.bytes, "/copy");
  REQUIRE_MESSAGE(back.result.code == Code::ok, back.result.message);
  CHECK(read_text(box.dir / "copy/d29/2999").size() == 2999);
  TreeSummary summary;
  REQUIRE(decode(back.result.body, summary));
  CHECK(summary.entries == 3030);
}

TEST_CASE("what the user may not read fails the whole, and is named") {
  if (!can_switch_users()) return;
  Box box(true);
  write_text(box.at("secret"), "x");
  REQUIRE(::chmod(box.at("secret").c_str(), 0600) == 0);
  const Reply reply = box.client.call(PackRequest{"/t", {}});
  CHECK(reply.result.code == Code::forbidden);
  CHECK(reply.result.message.find("/t/secret") != std::string::npos);
  CHECK(reply.bytes.find("secret") == std::string::npos);
}

TEST_CASE("a tree that changes while it is read: no file outside it, no hang, no half a file") {
  Box box;
  write_text(box.dir / "outside", "SECRET");
  for (int i = 0; i < 50; ++i) write_text(box.at("f" + std::to_string(i)), std::string(5000, 'f'));
  REQUIRE(::mkdir(box.at("d").c_str(), 0755) == 0);
  REQUIRE(::mkdir((box.dir / "elsewhere").c_str(), 0755) == 0);
  write_text(box.dir / "elsewhere/x", "SECRET");
  std::atomic<bool> stop = false;
  std::thread attacker([&] {
    for (unsigned i = 0; !stop; ++i) {
      const std::string name = box.at("f" + std::to_string(i % 50));
      ::unlink(name.c_str());
      switch (i % 3) {
        case 0: (void)!::symlink("../outside", name.c_str()); break;
        case 1: ::mkfifo(name.c_str(), 0600); break;
        default: { const Fd file(::open(name.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644)); (void)!::write(file.get(), name.data(), name.size()); }
      }
      ::rename(box.at("d").c_str(), box.at("d-moved").c_str());
      (void)!::symlink("../elsewhere", box.at("d").c_str());
      ::unlink(box.at("d").c_str());
      ::rename(box.at("d-moved").c_str(), box.at("d").c_str());
    }
  });
  for (int i = 0; i < 200; ++i) {
    const Reply reply = box.client.call(PackRequest{"/t", {}});
    CHECK(reply.bytes.find("SECRET") == std::string::npos);
    if (reply.result.code != Code::ok) CHECK_MESSAGE(reply.result.code == Code::conflict, reply.result.message);
  }
  stop = true;
  attacker.join();
}

TEST_CASE("a tree is made with its modes, links and parents") {
  Box box;
  Builder tree;
  tree.other(TreeType::directory, "d", 0750).file("d/a", "aaa", 0600).file("made/parents/b", "", 0755).other(TreeType::symlink, "s", 0777, "d/a");
  tree.other(TreeType::hardlink, "h", 0, "d/a").file("odd", "x", 04775).other(TreeType::chmod, "d", 0500);
  const Reply reply = unpack(box.client, tree.bytes);
  REQUIRE_MESSAGE(reply.result.code == Code::ok, reply.result.message);
  CHECK(mode_of(box.at("d")) == 0500);
  CHECK(read_text(box.at("d/a")) == "aaa");
  CHECK(mode_of(box.at("d/a")) == 0600);
  CHECK(mode_of(box.at("made/parents/b")) == 0755);
  CHECK(mode_of(box.at("odd")) == 04775);  // what may be asked for is for the host to say
  CHECK(std::filesystem::read_symlink(box.at("s")) == "d/a");
  CHECK(std::filesystem::hard_link_count(box.at("h")) == 2);
  // Once more over what is there: everything is replaced, directories stay.
  ::chmod(box.at("d").c_str(), 0700);
  Builder again;
  again.other(TreeType::directory, "d", 0711).file("d/a", "bbb").other(TreeType::symlink, "s", 0777, "new").other(TreeType::hardlink, "h", 0, "d/a");
  REQUIRE(unpack(box.client, again.bytes).result.code == Code::ok);
  CHECK(mode_of(box.at("d")) == 0700);
  CHECK(read_text(box.at("d/a")) == "bbb");
  CHECK(read_text(box.at("h")) == "bbb");
  CHECK(std::filesystem::read_symlink(box.at("s")) == "new");
  for (const auto& item : std::filesystem::recursive_directory_iterator(box.dir / "t")) CHECK(item.path().filename().string().find(".stacyvm") == std::string::npos);
}

TEST_CASE("no link is gone through, whoever put it there") {
  Box box;
  REQUIRE(::mkdir((box.dir / "outside").c_str(), 0755) == 0);
  write_text(box.dir / "outside/f", "mine");
  SUBCASE("from the tree") {
    Builder tree;
    tree.other(TreeType::symlink, "out", 0777, "../outside").file("out/f", "theirs");
    const Reply reply = unpack(box.client, tree.bytes);
    CHECK(reply.result.code == Code::conflict);
    CHECK(reply.result.message.find("out/f") != std::string::npos);
  }
  SUBCASE("already there") {
    REQUIRE(::symlink("../outside", box.at("out").c_str()) == 0);
    for (const Builder& tree : {Builder().file("out/f", "theirs"), Builder().other(TreeType::directory, "out/new"), Builder().other(TreeType::symlink, "out/l", 0777, "x"),
                                Builder().other(TreeType::chmod, "out", 0777), Builder().other(TreeType::directory, "out")}) {
      const Code code = unpack(box.client, tree.bytes).result.code;
      CHECK(code == Code::conflict);
    }
    CHECK(mode_of(box.dir / "outside") == 0755);
  }
  SUBCASE("in the place of a file: the link is replaced") {
    REQUIRE(::symlink("../outside/f", box.at("f").c_str()) == 0);
    CHECK(unpack(box.client, Builder().file("f", "theirs").bytes).result.code == Code::ok);
    CHECK(read_text(box.at("f")) == "theirs");
  }
  SUBCASE("a hard link to one") {
    REQUIRE(::symlink("../outside/f", box.at("l").c_str()) == 0);
    CHECK(unpack(box.client, Builder().other(TreeType::hardlink, "h", 0, "l").bytes).result.code == Code::invalid);
  }
  CHECK(read_text(box.dir / "outside/f") == "mine");
  CHECK_FALSE(exists(box.dir / "outside/new"));
  CHECK_FALSE(exists(box.dir / "outside/l"));
}

TEST_CASE("links that come and go while a tree is made lead nowhere") {
  Box box;
  REQUIRE(::mkdir((box.dir / "outside").c_str(), 0755) == 0);
  std::atomic<bool> stop = false;
  std::thread attacker([&] {
    while (!stop) {
      (void)!::symlink("../outside", box.at("d").c_str());
      ::unlink(box.at("d").c_str());
      ::rename(box.at("d").c_str(), box.at("e").c_str());
    }
  });
  for (int i = 0; i < 100; ++i) {
    Builder tree;
    for (int j = 0; j < 20; ++j) tree.file("d/" + std::to_string(j), "x").file(std::to_string(j), "y");
    unpack(box.client, tree.bytes);
  }
  stop = true;
  attacker.join();
  CHECK(std::filesystem::is_empty(box.dir / "outside"));
}

TEST_CASE("a failure says what failed; a file that did not come whole does not stay") {
  Box box;
  REQUIRE(::mkdir(box.at("dir").c_str(), 0755) == 0);
  Reply reply = unpack(box.client, Builder().file("before", "x").file("dir", "y").bytes);
  CHECK(reply.result.code == Code::invalid);
  CHECK(reply.result.error == EISDIR);
  CHECK(reply.result.message.find("/t/dir") != std::string::npos);
  CHECK(exists(box.at("before")));
  write_text(box.at("file"), "old");
  CHECK(unpack(box.client, Builder().file("file/below", "y").bytes).result.code == Code::conflict);
  CHECK(unpack(box.client, Builder().other(TreeType::directory, "file").bytes).result.code == Code::conflict);

  const std::string whole = Builder().file("part", std::string(100'000, 'p')).file("file", "new").bytes;
  for (const size_t cut : {size_t{2}, size_t{30}, size_t{60'000}, whole.size() - 1}) {
    reply = unpack(box.client, whole.substr(0, cut));
    CHECK(reply.result.code == Code::invalid);
  }
  CHECK(read_text(box.at("file")) == "old");
  ::unlink(box.at("part").c_str());
  const uint32_t stream = box.client.start(UnpackRequest{"/t", {}});
  box.client.send_bytes(stream, whole.substr(0, 50'000));
  box.client.pump([&] { return exists(box.at("part")); }, 50);
  box.client.cancel(stream);
  CHECK(box.client.wait(stream).result.code == Code::cancelled);
  CHECK(box.client.call(StatRequest{"/t/part", true, {}}).result.code == Code::file_not_found);
  CHECK(unpack(box.client, "garbage").result.code == Code::invalid);
  Client outer;
  CHECK(unpack(outer, "", "/proc/sys").result.code == Code::forbidden);
  CHECK(unpack(box.client, "").result.code == Code::ok);
  size_t left = 0;
  for (const auto& item : std::filesystem::recursive_directory_iterator(box.dir / "t")) left += item.path().filename().string().starts_with(".stacyvm");
  CHECK(left == 0);
}

TEST_CASE("what is made is the user's") {
  if (!can_switch_users()) return;
  Box box(true);
  REQUIRE(unpack(box.client, Builder().file("d/f", "x").bytes).result.code == Code::ok);
  struct stat info;
  REQUIRE(::stat(box.at("d/f").c_str(), &info) == 0);
  CHECK(info.st_uid == 1234);
  REQUIRE(::stat(box.at("d").c_str(), &info) == 0);
  CHECK(info.st_gid == 1234);
  CHECK(unpack(box.client, Builder().file("f", "x").bytes, "/").result.code == Code::forbidden);
  // As root into a place where another user can plant links.
  REQUIRE(::symlink("/", box.at("planted").c_str()) == 0);
  CHECK(unpack(box.client, Builder().file("planted/f", "x").bytes, "/t", "0").result.code == Code::conflict);
}
