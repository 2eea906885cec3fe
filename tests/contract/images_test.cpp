// What a sandbox's root is made of, and what of the host is shown in it.
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "lab.hpp"

using namespace svm::test;
using stacyvm::Exec, stacyvm::Sandbox;
namespace fs = std::filesystem;

namespace {

void host(const std::string& command) { REQUIRE(std::system(command.c_str()) == 0); }

/// A root file system of a shell, a few tools, and what they link to.
std::string make_root(const std::string& parent) {
  const std::string root = parent + "/root";
  host("mkdir -p " + root + "/bin " + root + "/etc " + root + "/data && echo marker > " + root + "/data/file && ln -s file " + root +
       "/data/link && echo 'user:x:1000:1000::/:/bin/sh' > " + root + "/etc/passwd");
  host("for tool in sh cat ls id touch; do path=$(command -v $tool) && cp -L $path " + root +
       "/bin/ && for library in $(ldd $path | grep -o '/[^ ]*'); do mkdir -p " + root + "$(dirname $library) && cp -L $library " + root +
       "$library; done; done");
  return root;
}

stacyvm::Spawn image(const std::string& reference) {
  auto spawn = spawn_options();
  spawn.image = reference;
  return spawn;
}

void check_root(Sandbox& sandbox) {
  CHECK(sh(sandbox, "cat /data/link") == "marker\n");
  CHECK(sandbox.read_file("/data/file") == "marker\n");
  CHECK(code_of([&] { sandbox.stat("/usr/bin/env"); }) == STACYVM_E_FILE_NOT_FOUND);  // nothing of the host
  CHECK(sh(sandbox, "cat /proc/1/status > /dev/null; ls /dev/null /dev/shm -d") == "/dev/null\n/dev/shm\n");
  sandbox.write_file("/tmp/x", "x");
  CHECK(sandbox.read_file("/tmp/x") == "x");
  sandbox.write_file("/workspace/x", "x");
  CHECK(sandbox.read_file("/workspace/x") == "x");
  sandbox.write_file("/app/x", "x");
  CHECK(sandbox.read_file("/app/x") == "x");
}

}  // namespace

TEST_CASE("the host's own tools, read-only, and nothing else of it") {
  Lab lab(image("host"));
  CHECK(sh(lab.sandbox, "test -x /usr/bin/env && echo yes") == "yes\n");
  CHECK(lab.sandbox.exec(Exec::sh("touch /usr/bin/x")).exit_code != 0);
  CHECK(sh(lab.sandbox, "ls -A /home /srv /mnt /opt | grep -v ':$' | grep . || true") == "");
}

TEST_CASE("a directory is a root; what is written stays in the sandbox") {
  TemporaryDirectory directory;
  const std::string root = make_root(directory.path());
  auto spawn = image(root);
  spawn.user = "root";
  Lab lab(spawn);
  check_root(lab.sandbox);
  sh(lab.sandbox, "echo changed > /data/new; echo more >> /tmp/x");
  CHECK(lab.sandbox.read_file("/data/new") == "changed\n");
  CHECK_FALSE(fs::exists(root + "/data/new"));
  CHECK(read_host_file(root + "/data/file") == "marker\n");
  Sandbox second = lab.session.spawn(spawn);
  CHECK(code_of([&] { second.stat("/data/new"); }) == STACYVM_E_FILE_NOT_FOUND);
  CHECK(lab.sandbox.info().find(directory.path()) != std::string::npos);  // a local caller sees its own reference
}

TEST_CASE("an archive is a root, plain or compressed") {
  TemporaryDirectory directory;
  const std::string root = make_root(directory.path());
  for (const char* option : {"-cf", "-czf"}) {
    CAPTURE(std::string(option));
    const std::string archive = directory.path() + "/root.tar";
    host(std::string("tar ") + option + " " + archive + " -C " + root + " .");
    Lab lab(image(archive));
    check_root(lab.sandbox);
    sh(lab.sandbox, "echo changed > /data/new");
  }
}

TEST_CASE("what is no root is refused, and why") {
  TemporaryDirectory directory;
  Lab lab;
  const auto code = [&](const std::string& reference) {
    return code_of([&] { lab.session.spawn(image(reference)); });
  };
  CHECK(code("alpine:3") == STACYVM_E_UNSUPPORTED);
  CHECK(code("example.org/a/b@sha256:0") == STACYVM_E_UNSUPPORTED);
  CHECK(code(directory.path() + "/none") == STACYVM_E_NOT_FOUND);
  write_host_file(directory.path() + "/text", "this is no archive");
  CHECK(code(directory.path() + "/text") == STACYVM_E_INVALID);
  write_host_file(directory.path() + "/empty", "");
  CHECK(code(directory.path() + "/empty") == STACYVM_E_INVALID);
  CHECK(code("/dev/null") == STACYVM_E_INVALID);
  host("mkfifo " + directory.path() + "/fifo");
  CHECK(code(directory.path() + "/fifo") == STACYVM_E_INVALID);
  for (const char* name : {"dev", "proc", "sys"}) {
    CAPTURE(std::string(name));
    const std::string root = directory.path() + "/" + name + "-is-a-link";
    host("mkdir " + root + " && ln -s " + directory.path() + " " + root + "/" + name);
    CHECK(code(root) == STACYVM_E_INVALID);
  }
  CHECK(code(std::string(4095, 'x')) == STACYVM_E_UNSUPPORTED);
  CHECK(code(std::string(4096, 'x')) == STACYVM_E_INVALID);
}

TEST_CASE("a remote session names no path of the host and is told none; its owner and actor are its own") {
  TemporaryDirectory directory;
  const std::string root = make_root(directory.path());
  Lab lab(image(root));
  stacyvm::SessionOptions who;
  who.flags = STACYVM_SESSION_REMOTE;
  who.actor = "key 7";
  who.owner = "someone";
  stacyvm::Session remote = lab.vm.session(who);
  const auto refused = [&](const stacyvm::Spawn& spawn) {
    try {
      remote.spawn(spawn);
      return std::string("spawned");
    } catch (const stacyvm::Error& error) {
      CHECK(error.http_status() == 403);
      return error.name() + " " + error.what() + " " + error.details();
    }
  };
  auto mounting = image("host");
  mounting.mounts.push_back({directory.path(), "/data"});
  for (const stacyvm::Spawn& spawn : {mounting, image(root), image("./root"), image("../root"), image(directory.path() + "/none")}) {
    const std::string answer = refused(spawn);
    CHECK_MESSAGE(answer.starts_with("FORBIDDEN "), answer);
    CHECK(answer.find(directory.path()) == answer.npos);
  }
  for (const std::string& answer : {remote.sandbox(lab.sandbox.id()).info(), remote.call("sandbox.list")}) {
    CHECK(answer.find(R"-("image":"(host path)")-") != answer.npos);
    CHECK(answer.find(directory.path()) == answer.npos);
  }
  auto without = image("host");
  without.mounts.push_back({directory.path() + "/none", "/data"});
  for (const stacyvm::Spawn& failing : {image(directory.path() + "/none"), without}) {
    try {
      lab.session.spawn(failing);
      FAIL("it was spawned");
    } catch (const stacyvm::Error& error) {  // whose path it is may know it
      CHECK(std::string(error.what()).find(directory.path()) != std::string::npos);
    }
  }
  stacyvm::Stream events = remote.events(0);
  std::string told;
  stacyvm_chunk event;
  while (events.next(event, std::chrono::milliseconds(500)) == stacyvm::Stream::Next::chunk) told.append(static_cast<const char*>(event.data), event.size);
  for (const char* type : {"sandbox.created", "sandbox.error", "operation.failed"}) CHECK(told.find(type) != told.npos);
  CHECK_MESSAGE(told.find(directory.path()) == told.npos, told);
  auto owned = image("host");
  owned.owner = "somebody-else";
  Sandbox sandbox = remote.spawn(owned);
  CHECK(sandbox.info().find(R"("owner_id":"someone")") != std::string::npos);
  CHECK(sh(sandbox, "echo fine") == "fine\n");
}

TEST_CASE("host directories and files are shown, read-only unless asked") {
  TemporaryDirectory directory;
  const std::string shown = directory.path() + "/shown", open = directory.path() + "/open";
  host("mkdir -p " + shown + "/sub " + open + " && chmod 777 " + shown + " " + open + " && echo seen > " + shown + "/file && chmod 666 " + shown + "/file");
  auto spawn = spawn_options();
  spawn.mounts = {{shown, "/mnt/shown", false}, {open, "/mnt/open", true}, {shown + "/file", "/etc/single", false}};
  Lab lab(spawn);
  CHECK(lab.sandbox.read_file("/mnt/shown/file") == "seen\n");
  CHECK(sh(lab.sandbox, "cat /etc/single") == "seen\n");
  for (const char* command : {"echo x > /mnt/shown/file", "touch /mnt/shown/new", "rm /mnt/shown/file", "chmod 600 /mnt/shown/file", "mkdir /mnt/shown/sub/x",
                              "echo x > /etc/single"}) {
    CAPTURE(std::string(command));
    CHECK(lab.sandbox.exec(Exec::sh(command)).exit_code != 0);
  }
  CHECK(code_of([&] { lab.sandbox.write_file("/mnt/shown/new", "x"); }) != STACYVM_OK);
  CHECK(read_host_file(shown + "/file") == "seen\n");
  CHECK(sh(lab.sandbox, "echo out > /mnt/open/new; cat /mnt/open/new") == "out\n");
  CHECK(read_host_file(open + "/new") == "out\n");
  // A program on a mount has no more rights than any other, and the way up leads nowhere.
  CHECK(sh(lab.sandbox, "ls -A /mnt/shown/../.. | grep -c '^usr$'") == "1\n");

  const auto code = [&](const char* from, const char* to) {
    auto wrong = spawn_options();
    wrong.mounts = {{from, to, false}};
    return code_of([&] { lab.session.spawn(wrong); });
  };
  CHECK(code("/none", "/mnt/x") == STACYVM_E_INVALID);
  CHECK(code("relative", "/mnt/x") == STACYVM_E_INVALID);
  CHECK(code(shown.c_str(), "relative") == STACYVM_E_INVALID);
  CHECK(code("/dev/null", "/mnt/x") == STACYVM_E_INVALID);
}
