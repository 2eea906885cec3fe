// Files that come in several streams.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "agent/uploads.hpp"
#include "client.hpp"

using namespace svm;
using namespace svm::protocol;
using namespace svm::agent::test;

namespace {

struct Box {
  TemporaryDirectory dir;
  Fd root{::open(dir.path().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)};
  Client client{setup()};

  Client::Setup setup() {
    Client::Setup setup;
    setup.options.root = root.get();
    return setup;
  }
  static WriteRequest request(const std::string& name, uint64_t offset, uint32_t flags = 0, const std::string& path = "/file") {
    return {path, 0640, flags, {}, name, offset};
  }
  /// A stream that brings the bytes and is then cut off.
  Code part(const std::string& bytes, const WriteRequest& request) {
    const uint32_t stream = client.start(request);
    client.send_bytes(stream, bytes);
    client.cancel(stream);
    return client.wait(stream).result.code;
  }
  uint64_t staged(const std::string& name = "u", const std::string& path = "/file") {
    const Reply reply = client.call(request(name, 0, kWriteStaged, path));
    REQUIRE_MESSAGE(reply.result.code == Code::ok, reply.result.message);
    return reply.info().size;
  }
  std::vector<std::string> entries() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(dir.path())) names.push_back(entry.path());
    return names;
  }
  /// The only thing there is.
  std::string temporary() const {
    REQUIRE(entries().size() == 1);
    return entries()[0];
  }
};

}  // namespace

TEST_CASE("upload: what has come is kept, and the next stream goes on where it ends") {
  Box box;
  CHECK(box.staged() == 0);
  CHECK(box.part("one ", box.request("u", 0)) == Code::cancelled);
  CHECK(box.staged() == 4);
  CHECK(box.part("two ", box.request("u", 4)) == Code::cancelled);
  CHECK(box.staged() == 8);
  CHECK(box.entries().size() == 1);
  CHECK(access((box.dir / "file").c_str(), F_OK) != 0);
  const Reply reply = box.client.write_file(box.request("u", 8), "three");
  REQUIRE_MESSAGE(reply.result.code == Code::ok, reply.result.message);
  CHECK(reply.info().size == 13);
  CHECK(read_text(box.dir / "file") == "one two three");
  struct stat info;
  REQUIRE(::stat((box.dir / "file").c_str(), &info) == 0);
  CHECK((info.st_mode & 07777) == 0640);
  CHECK(box.entries().size() == 1);
  CHECK(box.staged() == 0);  // the name is free again
}

TEST_CASE("upload: another offset, path or writer is a conflict that says what is there") {
  Box box;
  box.part("12345", box.request("u", 0));
  for (const uint64_t offset : {uint64_t{0}, uint64_t{4}, uint64_t{6}, UINT64_MAX}) {
    const Reply reply = box.client.write_file(box.request("u", offset), "x");
    CHECK(reply.result.code == Code::conflict);
    CHECK(reply.result.message == "upload to /file: 5 bytes of it have come, so it cannot go on at " + std::to_string(offset));
  }
  CHECK(box.client.write_file(box.request("other", 1), "x").result.message == "upload to /file: 0 bytes of it have come, so it cannot go on at 1");
  for (const uint32_t flags : {0u, uint32_t{kWriteRestart}, uint32_t{kWriteStaged}})
    CHECK(box.client.call(box.request("u", 0, flags, "/elsewhere")).result.code == Code::conflict);
  const uint32_t writing = box.client.start(box.request("u", 5));
  for (const uint32_t flags : {0u, uint32_t{kWriteRestart}, uint32_t{kWriteStaged}})
    CHECK(box.client.call(box.request("u", 0, flags)).result.message == "upload to /file: it is being written");
  box.client.end(writing);
  CHECK(box.client.wait(writing).result.code == Code::ok);
  CHECK(read_text(box.dir / "file") == "12345");
}

TEST_CASE("upload: restart drops what has come; a commit that fails keeps it") {
  Box box;
  box.part("old", box.request("u", 0));
  CHECK(box.part("new", box.request("u", 0, kWriteRestart)) == Code::cancelled);
  CHECK(box.staged() == 3);
  CHECK(box.entries().size() == 1);
  const uint32_t late = box.client.start(box.request("u", 3, kWriteExclusive));
  box.client.send_bytes(late, "er");
  REQUIRE(box.client.pump([&] { return box.entries().size() == 1; }));
  write_text(box.dir / "file", "in the way");
  box.client.end(late);
  CHECK(box.client.wait(late).result.code == Code::conflict);
  CHECK(box.staged() == 5);
  CHECK(box.client.write_file(box.request("u", 5), "").result.code == Code::ok);
  CHECK(read_text(box.dir / "file") == "newer");
}

TEST_CASE("upload: a sandbox keeps so many, and one more drops the one left longest ago") {
  Box box;
  const auto name = [](size_t i) { return "u" + std::to_string(i); };
  for (size_t i = 0; i < agent::kMaxUploads; ++i) box.part("x", box.request(name(i), 0));
  CHECK(box.entries().size() == agent::kMaxUploads);
  CHECK(box.staged(name(0)) == 1);
  box.part("y", box.request(name(0), 1));  // now u1 is the oldest
  box.part("x", box.request("more", 0));
  CHECK(box.entries().size() == agent::kMaxUploads);
  CHECK(box.staged(name(1)) == 0);
  CHECK(box.staged(name(0)) == 2);
  CHECK(box.staged("more") == 1);
}

TEST_CASE("upload: so many are written at a time, and one more is refused") {
  Box box;
  std::vector<uint32_t> streams;
  for (size_t i = 0; i < agent::kMaxUploads; ++i) streams.push_back(box.client.start(box.request("u" + std::to_string(i), 0)));
  const Reply refused = box.client.write_file(box.request("more", 0), "x");
  CHECK(refused.result.code == Code::limit);
  CHECK(refused.result.message == "upload to /file: 16 others are being written in the sandbox");
  CHECK(box.client.write_file({"/plain", 0644, 0, {}, {}, 0}, "x").result.code == Code::ok);
  for (const uint32_t stream : streams) box.client.cancel(stream);
  box.client.wait(streams.back());
  CHECK(box.client.write_file(box.request("more", 0), "x").result.code == Code::ok);
}

namespace {

/// What a command of the sandbox may do to the kept file.
int change(const std::string& kept, const std::string& secret, int how) {
  if (how == 0) return ::truncate(kept.c_str(), 1);
  if (how == 1) return ::truncate(kept.c_str(), 100);
  if (::unlink(kept.c_str()) != 0) return -1;
  if (how == 2) return ::symlink(secret.c_str(), kept.c_str());
  if (how == 3) return ::link(secret.c_str(), kept.c_str());
  return how == 4 ? ::mkdir(kept.c_str(), 0755) : 0;
}
constexpr int kChanges = 6;

}  // namespace

TEST_CASE("upload: what the sandbox makes of the kept file is not taken for it") {
  for (int how = 0; how < kChanges; ++how)
    for (const bool open : {false, true}) {
      CAPTURE(how);
      CAPTURE(open);
      Box box;
      TemporaryDirectory outside;
      write_text(outside / "secret", "secret");
      box.part("12345", box.request("u", 0));
      const std::string kept = box.temporary();
      if (!open) {
        REQUIRE(change(kept, outside / "secret", how) == 0);
        CHECK(box.client.write_file(box.request("u", 5), "x").result.code == Code::conflict);
      } else {
        const uint32_t stream = box.client.start(box.request("u", 5));
        CHECK(box.client.call(box.request("u", 0, kWriteStaged)).result.code == Code::conflict);  // so it is open
        REQUIRE(change(kept, outside / "secret", how) == 0);
        box.client.end(stream);
        CHECK(box.client.wait(stream).result.message == "upload to /file: what had come of it was changed meanwhile");
      }
      CHECK(box.staged() == 0);
      CHECK(read_text(outside / "secret") == "secret");
      CHECK(access((box.dir / "file").c_str(), F_OK) != 0);
      CHECK(box.client.write_file(box.request("u", 0), "anew").result.code == Code::ok);
      CHECK(read_text(box.dir / "file") == "anew");
    }
}
