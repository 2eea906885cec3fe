// While a thread exchanges names, the agent must never serve, change or remove what is outside its root.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "client.hpp"

using namespace svm;
using namespace svm::agent::test;
using namespace svm::protocol;

namespace {

/// root/a/b is a directory; root/a/link stands for a directory outside. The thread exchanges the two without pause.
struct Race {
  TemporaryDirectory dir;
  Fd root, a;
  Client client;
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> swaps{0};
  std::thread swapper;

  Race() : root(prepare(dir)), a(::open((dir / "root/a").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)), client(setup(root)) {
    swapper = std::thread([this] {
      while (!stop) {
        if (::renameat2(a.get(), "b", a.get(), "link", RENAME_EXCHANGE) == 0) ++swaps;
      }
    });
  }
  ~Race() {
    stop = true;
    swapper.join();
  }
  static Fd prepare(const TemporaryDirectory& dir) {
    for (const char* name : {"root", "root/a", "root/a/b", "outside"}) REQUIRE(::mkdir((dir / name).c_str(), 0755) == 0);
    write_text(dir / "root/a/b/file", "inside");
    write_text(dir / "outside/file", "OUTSIDE");
    REQUIRE(::symlink((dir / "outside").c_str(), (dir / "root/a/link").c_str()) == 0);
    return Fd(::open((dir / "root").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  }
  static Client::Setup setup(const Fd& root) {
    Client::Setup setup;
    setup.options.root = root.get();
    return setup;
  }
};

constexpr int kRounds = 3000;

}  // namespace

TEST_CASE("reading never leaves the root") {
  Race race;
  int good = 0;
  for (int i = 0; i < kRounds; ++i) {
    ReadRequest request;
    request.path = i % 2 ? "/a/b/file" : "/a/b/../b/file";
    const Reply reply = race.client.call(request);
    REQUIRE(reply.bytes != "OUTSIDE");
    if (reply.result.code == Code::ok) {
      REQUIRE(reply.bytes == "inside");
      ++good;
    }
  }
  CHECK(good > 0);
  CHECK(race.swaps > 100);
}

TEST_CASE("writing, changing and linking never leave the root") {
  Race race;
  int good = 0;
  for (int i = 0; i < kRounds / 4; ++i) {
    WriteRequest write;
    write.path = "/a/b/new";
    if (race.client.write_file(write, "x").result.code == Code::ok) ++good;
    WriteRequest append;
    append.path = "/a/b/file";
    append.flags = kWriteAppend;
    race.client.write_file(append, "");
    race.client.call(MkdirRequest{"/a/b/d/e", 0755, true, {}});
    race.client.call(ChmodRequest{"/a/b/file", 0600, {}, true, {}, {}});
    race.client.call(MoveRequest{"/a/b/new", "/a/b/moved", true, {}});
    race.client.call(LinkRequest{"/a/b/file", "/a/b/hard", false, {}});
    race.client.call(SymlinkRequest{"t", "/a/b/sym", false, {}, i % 2 == 0});
    race.client.call(CopyRequest{"/a/b/file", "/a/b/copy", false, true, {}});
    race.client.call(CopyRequest{"/a/b", "/a/b2", true, true, {}});
    race.client.call(CopyRequest{"/a/b2", "/a/b/tree", true, true, {}});
    for (const char* name : {"file", "copy", "moved"}) {
      ReadRequest read;
      read.path = std::string("/a/b2/") + name;
      REQUIRE(race.client.call(read).bytes != "OUTSIDE");
    }
    race.client.call(RemoveRequest{"/a/b2", true, {}});
    race.client.call(RemoveRequest{"/a/b/tree", true, {}});
  }
  CHECK(good > 0);
  CHECK(race.swaps > 100);
  struct stat info;
  REQUIRE(::stat((race.dir / "outside/file").c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0644);
  CHECK(info.st_nlink == 1);
  CHECK(read_text(race.dir / "outside/file") == "OUTSIDE");
  for (const char* name : {"new", "d", "moved", "hard", "sym", "copy", "tree"}) CHECK(::lstat((race.dir / ("outside/" + std::string(name))).c_str(), &info) < 0);
}

TEST_CASE("removing and looking never leave the root") {
  Race race;
  int good = 0;
  for (int i = 0; i < kRounds / 10; ++i) {
    race.client.call(MkdirRequest{"/a/b/x/y", 0755, true, {}});
    if (race.client.call(RemoveRequest{"/a/b/x", true, {}}).result.code == Code::ok) ++good;
    race.client.call(RemoveRequest{"/a/b/file", false, {}});
    const Reply list = race.client.call(ListRequest{"/a", 0, 1, {}});
    for (const char* pattern : {"/**", "/a/*/*", "/a/b/*"}) {
      const Reply glob = race.client.call(GlobRequest{pattern, 0, {}});
      for (const Entry& entry : glob.entries) REQUIRE(entry.info.size != 7);  // the size of outside/file
    }
  }
  CHECK(good > 0);
  CHECK(race.swaps > 100);
  CHECK(read_text(race.dir / "outside/file") == "OUTSIDE");
}

TEST_CASE("a FIFO that is exchanged for the file never holds the agent") {
  TemporaryDirectory dir;
  write_text(dir / "file", "inside");
  REQUIRE(::mkfifo((dir / "fifo").c_str(), 0666) == 0);
  const Fd root(::open(dir.path().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  Client client(Race::setup(root));
  std::atomic<bool> stop{false};
  std::thread swapper([&] {
    while (!stop) ::renameat2(root.get(), "file", root.get(), "fifo", RENAME_EXCHANGE);
  });
  int good = 0;
  for (int i = 0; i < kRounds; ++i) {
    ReadRequest request;
    request.path = "/file";
    const Reply reply = client.call(request);
    if (reply.result.code == Code::ok && reply.bytes == "inside") ++good;
  }
  stop = true;
  swapper.join();
  CHECK(good > 0);
}
