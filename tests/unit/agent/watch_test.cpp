// Watching files: what the kernel tells, in order, and what is told where it cannot.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>

#include "client.hpp"

using namespace svm;
using namespace svm::agent::test;
using namespace svm::protocol;

namespace {

std::string words(const WatchEvent& event) {
  static constexpr const char* kNames[] = {"watching", "created", "modified", "removed", "renamed", "attributes", "overflow"};
  return std::string(kNames[static_cast<size_t>(event.kind)]) + (event.is_directory ? " dir " : " ") + event.path + (event.to.empty() ? "" : " " + event.to);
}

/// An agent whose "/" is a fresh directory with a directory "w" in it.
struct Box {
  TemporaryDirectory dir;
  Fd root;
  Client client;
  explicit Box(bool switches = false) : root(::open(dir.path().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)), client(setup(switches)) {}
  Client::Setup setup(bool switches) const {
    ::chmod(dir.path().c_str(), 0755);
    REQUIRE(::mkdir((dir / "w").c_str(), 0755) == 0);
    Client::Setup setup;
    setup.options.root = root.get();
    if (switches) {
      setup.hello.rootless = false;
      setup.hello.uid = setup.hello.gid = 1234;
    }
    return setup;
  }
  std::string at(const std::string& name) const { return dir / ("w/" + name); }
  void mkdir(const std::string& name) const { REQUIRE(::mkdir(at(name).c_str(), 0755) == 0); }
  void touch(const std::string& name) const { write_text(at(name), "x"); }

  uint32_t watch(bool recursive, const std::string& path = "/w") {
    const uint32_t stream = client.start(WatchRequest{path, recursive, {}});
    REQUIRE(client.pump([&] { return !client.reply(stream).events.empty() || client.reply(stream).done; }));
    return stream;
  }
  /// Events without the first, once the last one has come.
  std::vector<std::string> until(uint32_t stream, const std::string& last) {
    const auto& events = client.reply(stream).events;
    const bool came = client.pump([&] { return std::any_of(events.begin(), events.end(), [&](const WatchEvent& e) { return words(e) == last; }); });
    std::vector<std::string> out;
    for (size_t i = 1; i < events.size(); ++i) out.push_back(words(events[i]));
    CHECK_MESSAGE(came, last);
    return out;
  }
};

using Words = std::vector<std::string>;

}  // namespace

TEST_CASE("a directory's own entries, in order") {
  Box box;
  box.mkdir("d");
  const uint32_t stream = box.watch(false);
  CHECK(words(box.client.reply(stream).events[0]) == "watching dir /w");
  box.touch("a");
  REQUIRE(::rename(box.at("a").c_str(), box.at("b").c_str()) == 0);
  REQUIRE(::chmod(box.at("b").c_str(), 0600) == 0);
  REQUIRE(::unlink(box.at("b").c_str()) == 0);
  box.touch("d/below");  // not ours
  REQUIRE(::rmdir((box.mkdir("e"), box.at("e")).c_str()) == 0);
  CHECK(box.until(stream, "removed dir /w/e") ==
        Words{"created /w/a", "modified /w/a", "renamed /w/a /w/b", "attributes /w/b", "removed /w/b", "created dir /w/e", "removed dir /w/e"});
  box.client.cancel(stream);
  CHECK(box.client.wait(stream).result.code == Code::cancelled);
}

TEST_CASE("a name that leaves is removed, one that comes is created") {
  Box box;
  const uint32_t stream = box.watch(false);
  box.touch("a");
  REQUIRE(::rename(box.at("a").c_str(), (box.dir / "out").c_str()) == 0);
  box.until(stream, "removed /w/a");
  REQUIRE(::rename((box.dir / "out").c_str(), box.at("in").c_str()) == 0);
  CHECK(box.until(stream, "created /w/in") == Words{"created /w/a", "modified /w/a", "removed /w/a", "created /w/in"});
}

TEST_CASE("the end of what is watched is the last event") {
  Box box;
  SUBCASE("removed") {
    const uint32_t stream = box.watch(true);
    REQUIRE(::rmdir((box.dir / "w").c_str()) == 0);
    const Reply reply = box.client.wait(stream);
    CHECK(reply.result.code == Code::ok);
    CHECK(words(reply.events.back()) == "removed dir /w");
  }
  SUBCASE("renamed") {
    const uint32_t stream = box.watch(false);
    REQUIRE(::rename((box.dir / "w").c_str(), (box.dir / "v").c_str()) == 0);
    CHECK(words(box.client.wait(stream).events.back()) == "removed dir /w");
  }
  SUBCASE("a file") {
    box.touch("f");
    const uint32_t stream = box.watch(false, "/w/f");
    { std::ofstream(box.at("f"), std::ios::app) << "y"; }
    CHECK(box.until(stream, "modified /w/f") == Words{"modified /w/f"});
    REQUIRE(::unlink(box.at("f").c_str()) == 0);
    const Reply reply = box.client.wait(stream);
    CHECK(reply.result.code == Code::ok);
    CHECK(words(reply.events.back()) == "removed /w/f");
  }
}

TEST_CASE("below it, with directories that come, go and are renamed") {
  Box box;
  box.mkdir("a");
  box.mkdir("a/b");
  const uint32_t stream = box.watch(true);
  box.touch("a/b/deep");
  box.until(stream, "modified /w/a/b/deep");
  REQUIRE(::rename(box.at("a").c_str(), box.at("c").c_str()) == 0);
  box.until(stream, "renamed dir /w/a /w/c");
  box.touch("c/b/new");
  box.until(stream, "modified /w/c/b/new");
  // A directory that leaves is not watched any more.
  REQUIRE(::rename(box.at("c/b").c_str(), (box.dir / "gone").c_str()) == 0);
  box.until(stream, "removed dir /w/c/b");
  write_text(box.dir / "gone/x", "x");
  box.touch("end");
  const Words all = box.until(stream, "modified /w/end");
  CHECK(std::none_of(all.begin(), all.end(), [](const std::string& event) { return event.find("/x") != std::string::npos; }));
}

TEST_CASE("nothing in a directory that appears is missed, however fast it is filled") {
  Box box;
  const uint32_t stream = box.watch(true);
  std::set<std::string> expected;
  for (int i = 0; i < 30; ++i) {
    const std::string top = "t" + std::to_string(i);
    std::filesystem::create_directories(box.at(top + "/x/y"));
    for (const char* name : {"/f", "/x/f", "/x/y/f"}) {
      box.touch(top + name);
      expected.insert("created /w/" + top + name);
    }
  }
  box.touch("end");
  const auto all_came = [&] {
    std::set<std::string> got;
    for (const WatchEvent& event : box.client.reply(stream).events) got.insert(words(event));
    return std::includes(got.begin(), got.end(), expected.begin(), expected.end());
  };
  CHECK(box.client.pump(all_came));
}

TEST_CASE("a reader that takes nothing loses events, and is told so") {
  Box box;
  int limit = 16384;
  { std::ifstream("/proc/sys/fs/inotify/max_queued_events") >> limit; }
  if (limit > 40'000) {
    MESSAGE("skipped: the kernel's queue is larger than this test fills");
    return;
  }
  box.client.grant = false;
  const uint32_t stream = box.watch(true);
  const std::string name(200, 'n');
  // More than a window, the agent's queue and the kernel's together hold.
  for (int i = 0; i < limit + 20'000; ++i) {
    const Fd file(::open(box.at(name + std::to_string(i % 7)).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
    REQUIRE(file);
  }
  const auto& events = box.client.reply(stream).events;
  const auto read_on = [&] {
    box.client.grant = true;
    std::string window;
    const uint32_t credit = 64u << 20;
    for (int i = 0; i < 4; ++i) window += static_cast<char>(credit >> (8 * i) & 0xff);
    box.client.frame(FrameType::window, stream, window);
  };
  SUBCASE("what was watched is gone when it reads on: that is told after all that was taken before, and is no failure") {
    std::filesystem::remove_all(box.dir / "w");
    read_on();
    CHECK(box.client.wait(stream).result.code == Code::ok);
    REQUIRE(events.size() > 2);
    CHECK(words(events[events.size() - 2]) == "overflow dir /w");
    CHECK(words(events.back()) == "removed dir /w");
    return;
  }
  box.mkdir("late");
  read_on();
  REQUIRE(box.client.pump([&] { return std::any_of(events.begin(), events.end(), [](const WatchEvent& e) { return e.kind == WatchKind::overflow; }); }));
  // And it goes on, also in what came while nothing was heard.
  box.touch("late/f");
  box.until(stream, "created /w/late/f");
}

TEST_CASE("names of any bytes, and the longest") {
  Box box;
  const uint32_t stream = box.watch(true);
  for (const std::string& name : {std::string("-"), std::string("new\nline"), std::string("\xff\xfe"), std::string(255, 'n')}) {
    box.touch(name);
    box.until(stream, "modified /w/" + name);
  }
}

TEST_CASE("what cannot be watched") {
  Box box;
  CHECK(box.client.call(WatchRequest{"/none", false, {}}).result.code == Code::file_not_found);
  CHECK(box.client.call(WatchRequest{"", false, {}}).result.code == Code::invalid);
  REQUIRE(::mkfifo(box.at("fifo").c_str(), 0600) == 0);
  CHECK(box.client.call(WatchRequest{"/w/fifo", false, {}}).result.code == Code::invalid);
  Client whole;
  CHECK(whole.call(WatchRequest{"/proc/self", true, {}}).result.code == Code::forbidden);
}

TEST_CASE("links lead to what is watched, and not out of what is watched") {
  Box box;
  REQUIRE(::mkdir((box.dir / "other").c_str(), 0755) == 0);
  REQUIRE(::symlink("w", (box.dir / "link").c_str()) == 0);
  REQUIRE(::symlink("../other", box.at("out").c_str()) == 0);
  const uint32_t stream = box.watch(true, "/link");
  write_text(box.dir / "other/secret", "x");
  box.touch("a");
  CHECK(box.until(stream, "modified /link/a") == Words{"created /link/a", "modified /link/a"});
}

TEST_CASE("sixteen watches of a sandbox, and one beyond") {
  Box box;
  std::vector<uint32_t> streams;
  for (int i = 0; i < 16; ++i) streams.push_back(box.watch(false));
  const Reply refused = box.client.call(WatchRequest{"/w", false, {}});
  CHECK(refused.result.code == Code::limit);
  CHECK(refused.result.message.find("16") != std::string::npos);
  box.client.cancel(streams[0]);
  box.client.wait(streams[0]);
  box.watch(false);
}

TEST_CASE("more directories than a watch may have are an error that names the number") {
  Box box;
  for (int i = 0; i < 91; ++i) {
    box.mkdir("d" + std::to_string(i));
    for (int j = 0; j < 90; ++j) box.mkdir("d" + std::to_string(i) + "/" + std::to_string(j));
  }
  const Reply reply = box.client.call(WatchRequest{"/w", true, {}});  // 1 + 91 + 8,190
  CHECK(reply.result.code == Code::limit);
  CHECK(reply.result.message.find("8192") != std::string::npos);
  for (int j = 0; j < 90; ++j) REQUIRE(::rmdir(box.at("d90/" + std::to_string(j)).c_str()) == 0);
  const uint32_t stream = box.watch(true);  // 1 + 91 + 8,100 = 8,192
  CHECK_FALSE(box.client.reply(stream).done);
  REQUIRE(words(box.client.reply(stream).events.at(0)) == "watching dir /w");
  box.mkdir("one-more");
  CHECK(box.client.wait(stream).result.code == Code::limit);
}

TEST_CASE("only what the user may read is watched") {
  if (!can_switch_users()) return;
  Box box(true);
  box.mkdir("closed");
  REQUIRE(::chmod(box.at("closed").c_str(), 0700) == 0);
  CHECK(box.client.call(WatchRequest{"/w/closed", false, {}}).result.code == Code::forbidden);
  const uint32_t stream = box.watch(true);
  box.touch("closed/secret");
  box.touch("open");
  CHECK(box.until(stream, "modified /w/open") == Words{"created /w/open", "modified /w/open"});
}
