#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>

#include "agent/entries.hpp"
#include "client.hpp"
#include "core/clock.hpp"

using namespace svm;
using namespace svm::agent::test;
using namespace svm::protocol;

namespace {

/// An agent whose "/" is a fresh directory.
struct Sandbox {
  TemporaryDirectory dir;
  Fd root;
  Client client;
  explicit Sandbox(bool switches = false) : root(::open(dir.path().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)), client(setup(switches)) {}
  Client::Setup setup(bool switches) const {
    Client::Setup setup;
    setup.options.root = root.get();
    setup.hello.workdir = "/home";
    if (switches) {
      setup.hello.rootless = false;
      setup.hello.uid = setup.hello.gid = 1234;
    }
    ::chmod(dir.path().c_str(), 0755);
    REQUIRE(::mkdir((dir / "home").c_str(), 0755) == 0);
    if (switches) REQUIRE(::chown((dir / "home").c_str(), 1234, 1234) == 0);
    return setup;
  }
  std::string operator/(const std::string& name) const { return dir / name; }
  template <class R>
  Code code(const R& request) { return client.call(request).result.code; }
};

WriteRequest write(std::string path, uint32_t mode = 0644, uint32_t flags = 0) { return {std::move(path), mode, flags, {}, {}, 0}; }
ReadRequest read(std::string path) { ReadRequest r; r.path = std::move(path); return r; }
StatRequest stat_of(std::string path, bool follow = true) { return {std::move(path), follow, {}}; }
ListRequest list(std::string path, uint32_t limit = 0, uint32_t depth = 1) { return {std::move(path), limit, depth, {}}; }
GlobRequest glob(std::string pattern, uint32_t limit = 0) { return {std::move(pattern), limit, {}}; }
MoveRequest move(std::string from, std::string to, bool replace = true) { return {std::move(from), std::move(to), replace, {}}; }
MkdirRequest mkdir_of(std::string path, bool parents = false, uint32_t mode = 0755) { return {std::move(path), mode, parents, {}}; }
RemoveRequest remove_of(std::string path, bool recursive = false) { return {std::move(path), recursive, {}}; }

std::vector<std::string> names(const Reply& reply) {
  REQUIRE_MESSAGE(reply.result.code == Code::ok, reply.result.message);
  std::vector<std::string> out;
  for (const Entry& entry : reply.entries) out.push_back(entry.name);
  return out;
}

mode_t mode_of(const std::string& path) {
  struct stat info;
  REQUIRE(::lstat(path.c_str(), &info) == 0);
  return info.st_mode;
}

size_t count_entries(const std::string& path) {
  size_t n = 0;
  for (const char* command : {"ls -A "}) {
    FILE* pipe = ::popen((command + path + " | wc -l").c_str(), "r");
    REQUIRE(pipe != nullptr);
    REQUIRE(::fscanf(pipe, "%zu", &n) == 1);
    ::pclose(pipe);
  }
  return n;
}

}  // namespace

TEST_CASE("the disk's usage is that of the file system at the root") {
  Sandbox box;
  const Reply reply = box.client.call(StatsRequest{});
  struct statvfs disk;
  REQUIRE(::statvfs(box.dir.path().c_str(), &disk) == 0);
  if (disk.f_blocks == 0) {
    CHECK(reply.result.code == Code::unsupported);
    return;
  }
  REQUIRE(reply.result.code == Code::ok);
  DiskStats stats;
  REQUIRE(decode(reply.result.body, stats));
  CHECK(stats.size == disk.f_blocks * disk.f_frsize);
  CHECK(stats.inodes == disk.f_files);
  CHECK(stats.used > 0);  // how much of it changes while others write
}

TEST_CASE("what is written is read, in any part") {
  Sandbox box;
  std::string bytes;
  for (int i = 0; i < 700'000; ++i) bytes += static_cast<char>(i * 7 + (i >> 8));
  CHECK(box.client.write_file(write("/file"), bytes).info().size == bytes.size());
  CHECK(read_text(box / "file") == bytes);
  Reply reply = box.client.call(read("/file"));
  CHECK(reply.bytes == bytes);
  CHECK(reply.info().size == bytes.size());
  CHECK(reply.info().type == FileType::regular);
  ReadRequest part = read("/file");
  part.offset = 100;
  part.length = 1000;
  CHECK(box.client.call(part).bytes == bytes.substr(100, 1000));
  part.length = 0;
  CHECK(box.client.call(part).bytes.empty());
  part.offset = bytes.size() - 1;
  part.length = UINT64_MAX;
  CHECK(box.client.call(part).bytes == bytes.substr(bytes.size() - 1));
  part.offset = bytes.size();
  CHECK(box.client.call(part).bytes.empty());
  part.offset = INT64_MAX;
  CHECK(box.client.call(part).bytes.empty());
  part.offset = static_cast<uint64_t>(INT64_MAX) + 1;
  CHECK(box.code(part) == Code::invalid);
  CHECK(box.client.write_file(write("/empty"), "").info().size == 0);
  CHECK(box.client.call(read("/empty")).bytes.empty());
  // Relative paths start in the working directory.
  CHECK(box.client.write_file(write("rel"), "r").result.code == Code::ok);
  CHECK(read_text(box / "home/rel") == "r");
}

TEST_CASE("a write appears whole or not at all") {
  Sandbox box;
  write_text(box / "file", "old");
  const uint32_t stream = box.client.start(write("/file"));
  box.client.send_bytes(stream, "new");
  CHECK(box.client.call(read("/file")).bytes == "old");
  box.client.end(stream);
  box.client.wait(stream);
  CHECK(read_text(box / "file") == "new");
  const uint32_t cancelled = box.client.start(write("/file"));
  box.client.send_bytes(cancelled, "never");
  CHECK(box.client.call(stat_of("/home")).result.code == Code::ok);
  box.client.cancel(cancelled);
  CHECK(box.client.wait(cancelled).result.code == Code::cancelled);
  CHECK(read_text(box / "file") == "new");
  CHECK(count_entries(box.dir.path()) == 2);  // file and home: no temporary one is left
}

TEST_CASE("a write that the channel's end cuts off leaves nothing") {
  Sandbox box;
  const uint32_t stream = box.client.start(write("/file"));
  box.client.send_bytes(stream, "half");
  CHECK(box.code(stat_of("/home")) == Code::ok);  // the agent has seen both
  CHECK(count_entries(box.dir.path()) == 2);
  box.client.close_channel();
  CHECK(box.client.wait_exit() == 0);
  CHECK(count_entries(box.dir.path()) == 1);
}

TEST_CASE("the mode is exactly what was asked for") {
  Sandbox box;
  for (const uint32_t mode : {0u, 0600u, 0666u, 0777u, 01777u, 04755u, 02755u, 07777u}) {
    CAPTURE(mode);
    CHECK(box.client.write_file(write("/f", mode), "x").info().mode == mode);
    CHECK((mode_of(box / "f") & 07777) == mode);
    CHECK(box.code(ChmodRequest{"/f", mode ^ 0111, {}, true, {}, {}}) == Code::ok);
    CHECK((mode_of(box / "f") & 07777) == (mode ^ 0111));
  }
  CHECK(box.code(mkdir_of("/d", false, 03777)) == Code::ok);
  CHECK((mode_of(box / "d") & 07777) == 03777);
}

TEST_CASE("flags of a write: parents, exclusive, append") {
  Sandbox box;
  CHECK(box.client.write_file(write("/a/b/c"), "1").result.code == Code::file_not_found);
  CHECK(box.client.write_file(write("/a/b/c", 0644, kWriteParents), "1").result.code == Code::ok);
  CHECK((mode_of(box / "a/b") & 07777) == 0755);
  Reply reply = box.client.write_file(write("/a/b/c", 0644, kWriteExclusive), "2");
  CHECK(reply.result.code == Code::conflict);
  CHECK(reply.result.message == "write /a/b/c: file exists");
  CHECK(read_text(box / "a/b/c") == "1");
  CHECK(box.client.write_file(write("/x", 0644, kWriteExclusive), "2").result.code == Code::ok);
  CHECK(box.client.write_file(write("/x", 0600, kWriteAppend), "3").info().size == 2);
  CHECK(read_text(box / "x") == "23");
  CHECK((mode_of(box / "x") & 07777) == 0644);
  CHECK(box.client.write_file(write("/new", 0600, kWriteAppend), "4").info().size == 1);
  CHECK((mode_of(box / "new") & 07777) == 0600);
  const std::string large(1'500'000, 'z');
  CHECK(box.client.write_file(write("/x", 0600, kWriteAppend), large).info().size == large.size() + 2);
  CHECK(read_text(box / "x") == "23" + large);
  CHECK(box.client.write_file(write("/x", 0600, kWriteAppend | kWriteExclusive), "5").result.code == Code::invalid);
  // Nothing happened until the end.
  const uint32_t stream = box.client.start(write("/new", 0600, kWriteAppend));
  box.client.send_bytes(stream, "gone");
  box.client.cancel(stream);
  box.client.wait(stream);
  CHECK(read_text(box / "new") == "4");
  CHECK(count_entries(box.dir.path()) == 4);
}

TEST_CASE("an exclusive write that loses the race at its end fails") {
  Sandbox box;
  const uint32_t stream = box.client.start(write("/f", 0644, kWriteExclusive));
  box.client.send_bytes(stream, "late");
  CHECK(box.code(stat_of("/home")) == Code::ok);
  write_text(box / "f", "first");
  box.client.end(stream);
  CHECK(box.client.wait(stream).result.code == Code::conflict);
  CHECK(read_text(box / "f") == "first");
  CHECK(count_entries(box.dir.path()) == 2);
}

TEST_CASE("writing goes through symbolic links, all inside the root") {
  Sandbox box;
  REQUIRE(::mkdir((box / "real").c_str(), 0755) == 0);
  REQUIRE(::symlink("/real", (box / "abs").c_str()) == 0);
  REQUIRE(::symlink("../real/target", (box / "home/rel").c_str()) == 0);
  REQUIRE(::symlink("/../../../../etc/escape", (box / "up").c_str()) == 0);
  REQUIRE(::symlink("loop", (box / "loop").c_str()) == 0);
  CHECK(box.client.write_file(write("/abs/f"), "1").result.code == Code::ok);
  CHECK(read_text(box / "real/f") == "1");
  CHECK(box.client.write_file(write("rel"), "2").result.code == Code::ok);
  CHECK(read_text(box / "real/target") == "2");
  CHECK(S_ISLNK(mode_of(box / "home/rel")));
  CHECK(box.client.write_file(write("/up", 0644, kWriteParents), "3").result.code == Code::file_not_found);
  CHECK(box.code(mkdir_of("/etc")) == Code::ok);
  CHECK(box.client.write_file(write("/up"), "3").result.code == Code::ok);
  CHECK(read_text(box / "etc/escape") == "3");
  CHECK(box.client.write_file(write("/loop"), "4").result.code == Code::invalid);
  CHECK(box.client.write_file(write("/../../f"), "5").result.code == Code::ok);
  CHECK(read_text(box / "f") == "5");
}

TEST_CASE("what is no regular file is never opened") {
  Sandbox box;
  REQUIRE(::mkfifo((box / "fifo").c_str(), 0666) == 0);
  REQUIRE(::symlink("/fifo", (box / "link").c_str()) == 0);
  const Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string name = box / "socket";
  REQUIRE(name.size() < sizeof address.sun_path);
  name.copy(address.sun_path, name.size());
  REQUIRE(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  for (const char* path : {"/fifo", "/link", "/socket"}) {
    CAPTURE(path);
    const Reply reply = box.client.call(read(path));
    CHECK(reply.result.code == Code::invalid);
    CHECK(reply.result.message == std::string("read ") + path + ": not a regular file or directory");
    CHECK(box.client.write_file(write(path), "x").result.code == Code::invalid);
    CHECK(box.client.write_file(write(path, 0644, kWriteAppend), "x").result.code == Code::invalid);
    CHECK(box.code(ChmodRequest{path, 0600, {}, true, {}, {}}) == Code::invalid);
    CHECK(box.code(list(path)) == Code::invalid);
  }
  CHECK(box.client.call(stat_of("/fifo")).info().type == FileType::fifo);
  CHECK(box.client.call(stat_of("/socket")).info().type == FileType::socket);
  CHECK(box.code(remove_of("/fifo")) == Code::ok);
}

TEST_CASE("devices are refused, processes' files and the kernel's links too") {
  Client client;
  for (const char* path : {"/dev/null", "/dev/zero", "/dev/tty"}) {
    CHECK(client.call(read(path)).result.code == Code::invalid);
    CHECK(client.write_file(write(path), "x").result.code == Code::invalid);
  }
  CHECK(client.call(read("/proc/version")).bytes.find("Linux") == 0);
  CHECK(client.call(list("/proc/sys")).result.code == Code::ok);
  for (const char* path : {"/proc/self/environ", "/proc/self/mem", "/proc/1/environ", "/proc/self/task/../status", "/proc/thread-self/maps"}) {
    CAPTURE(path);
    CHECK(client.call(read(path)).result.code == Code::forbidden);
    CHECK(client.write_file(write(path, 0644, kWriteAppend), "x").result.code != Code::ok);
  }
  for (const char* path : {"/proc/self", "/proc/1/fd", "/proc/self/fdinfo"}) CHECK(client.call(list(path)).result.code == Code::forbidden);
  // The kernel refuses its own links before or after it looks whether we may see the process.
  for (const std::string path : {"/proc/self/root", "/proc/self/cwd", "/proc/self/exe", "/proc/self/fd/0", "/proc/1/root/etc/passwd"}) {
    CAPTURE(path);
    for (const Code code : {client.call(read(path)).result.code, client.call(stat_of(path)).result.code})
      CHECK((code == Code::invalid || code == Code::forbidden));
  }
  TemporaryDirectory dir;
  REQUIRE(::symlink("/proc/self/mem", (dir / "mem").c_str()) == 0);
  REQUIRE(::symlink("/proc/self/root", (dir / "root").c_str()) == 0);
  CHECK(client.call(read(dir / "mem")).result.code == Code::forbidden);
  CHECK(client.write_file(write(dir / "mem", 0644, kWriteAppend), "x").result.code == Code::forbidden);
  CHECK(client.write_file(write(dir / "root/tmp/x"), "x").result.code == Code::invalid);
  CHECK(client.write_file(write("/proc/new"), "x").result.code == Code::forbidden);
  CHECK(client.write_file(write("/proc/sys/kernel/hostname", 0644, kWriteAppend), "x").result.code == Code::forbidden);
  CHECK(client.call(ChmodRequest{"/proc/version", 0666, {}, true, {}, {}}).result.code == Code::forbidden);
}

TEST_CASE("paths that are none") {
  Sandbox box;
  std::string deep = "/home";
  while (deep.size() + 2 <= kMaxPathBytes) deep += "/.";
  if (deep.size() < kMaxPathBytes) deep += "/";
  REQUIRE(deep.size() == kMaxPathBytes);
  CHECK(box.code(stat_of(deep)) == Code::ok);
  for (const std::string& path : {std::string(), std::string(kMaxPathBytes - 5, 'x')}) {  // the second is relative: too long below /home
    CHECK(box.code(stat_of(path)) == Code::invalid);
    CHECK(box.code(read(path)) == Code::invalid);
    CHECK(box.code(list(path)) == Code::invalid);
    CHECK(box.code(glob(path)) == Code::invalid);
    CHECK(box.code(mkdir_of(path)) == Code::invalid);
    CHECK(box.code(remove_of(path)) == Code::invalid);
    CHECK(box.code(move(path, "/x")) == Code::invalid);
    CHECK(box.code(move("/home", path)) == Code::invalid);
    CHECK(box.code(write(path)) == Code::invalid);
    CHECK(box.code(ChmodRequest{path, 0644, {}, true, {}, {}}) == Code::invalid);
    CHECK(box.code(SymlinkRequest{"t", path, false, {}, false}) == Code::invalid);
    CHECK(box.code(LinkRequest{path, "/x", false, {}}) == Code::invalid);
  }
  CHECK(box.code(stat_of("/" + std::string(255, 'n'))) == Code::file_not_found);
  CHECK(box.code(stat_of("/" + std::string(256, 'n'))) == Code::invalid);
  for (const char* path : {"/", "/.", "/..", "/home/.", "/home/..", "//"}) {
    CAPTURE(path);
    CHECK(box.code(mkdir_of(path)) == Code::invalid);
    CHECK(box.code(move(path, "/x")) == Code::invalid);
    CHECK(box.code(write(path)) != Code::ok);
    CHECK(box.code(remove_of(path, true)) != Code::ok);
  }
  CHECK(box.code(read("/home")) == Code::invalid);
  CHECK(box.code(write("/home")) == Code::invalid);
  CHECK(box.code(write("/home/new/")) == Code::invalid);
  write_text(box / "plain", "x");
  CHECK(box.code(read("/plain/x")) == Code::invalid);
  CHECK(box.code(list("/plain")) == Code::invalid);
  CHECK(mode_of(box / "home") != 0);
}

TEST_CASE("names may hold any bytes") {
  Sandbox box;
  for (const std::string name : {"new\nline", "\xff\xfe", " ", "-rf", "a\\b", "\x01", "*", "..."}) {
    CAPTURE(name);
    CHECK(box.client.write_file(write(name), name).result.code == Code::ok);
    CHECK(box.client.call(read(name)).bytes == name);
    CHECK(names(box.client.call(list("/home"))) == std::vector<std::string>{name});
    CHECK(box.code(move(name, name + "2")) == Code::ok);
    CHECK(box.code(remove_of(name + "2")) == Code::ok);
  }
  const Reply reply = box.client.call(read("no\n\xffsuch"));
  CHECK(reply.result.message == "read no\\x0a\\xffsuch: no such file or directory");
}

TEST_CASE("stat tells a link from its target") {
  Sandbox box;
  write_text(box / "f", "12345");
  REQUIRE(::symlink("/f", (box / "l").c_str()) == 0);
  REQUIRE(::symlink("/none", (box / "dangling").c_str()) == 0);
  CHECK(box.client.call(stat_of("/l")).info().type == FileType::regular);
  CHECK(box.client.call(stat_of("/l")).info().size == 5);
  CHECK(box.client.call(stat_of("/l", false)).info().type == FileType::symlink);
  CHECK(box.code(stat_of("/dangling")) == Code::file_not_found);
  CHECK(box.client.call(stat_of("/dangling", false)).info().type == FileType::symlink);
  struct stat info;
  REQUIRE(::stat((box / "f").c_str(), &info) == 0);
  const FileInfo got = box.client.call(stat_of("/f")).info();
  CHECK(got.inode == info.st_ino);
  CHECK(got.mtime_ns == info.st_mtim.tv_sec * 1'000'000'000 + info.st_mtim.tv_nsec);
  CHECK(got.uid == info.st_uid);
  CHECK(got.nlink == 1);
}

TEST_CASE("a list is sorted by bytes, complete, and bounded") {
  Sandbox box;
  std::vector<std::string> expected{"B", "a", "\xff", "\xc3\xa4", ".hidden", "10", "9"};
  for (const std::string& name : expected) write_text(box / ("home/" + name), name);
  REQUIRE(::symlink("/none", (box / "home/link").c_str()) == 0);
  expected.push_back("link");
  std::sort(expected.begin(), expected.end());
  const Reply reply = box.client.call(list("."));
  CHECK(names(reply) == expected);
  for (const Entry& entry : reply.entries) CHECK(entry.info.type == (entry.name == "link" ? FileType::symlink : FileType::regular));
  CHECK(box.code(list("/home", 8)) == Code::ok);
  CHECK(box.code(list("/home", 7)) == Code::limit);
  CHECK(box.client.call(list("/home", 7)).result.message == "list /home: more than 7 entries");
  CHECK(box.code(list("/none")) == Code::file_not_found);
  REQUIRE(::mkdir((box / "many").c_str(), 0755) == 0);
  for (int i = 0; i < 3000; ++i) write_text(box / ("many/" + std::string(200, 'n') + std::to_string(i)), "");
  CHECK(box.client.call(list("/many")).entries.size() == 3000);
  // Without credit the list waits; others do not.
  box.client.grant = false;
  REQUIRE(::mkdir((box / "huge").c_str(), 0755) == 0);
  for (int i = 0; i < 6000; ++i) write_text(box / ("huge/" + std::string(200, 'n') + std::to_string(i)), "");
  const uint32_t stream = box.client.start(list("/huge"));
  CHECK_FALSE(box.client.pump([&] { return box.client.reply(stream).done; }, 500));
  CHECK(box.client.reply(stream).entries.size() > 1000);
  CHECK(box.code(stat_of("/f")) == Code::file_not_found);
  box.client.cancel(stream);
  CHECK(box.client.wait(stream).result.code == Code::cancelled);
}

TEST_CASE("glob finds, sorted, without following links below **") {
  Sandbox box;
  for (const char* dir : {"a", "a/b", "a/b/c", "z"}) REQUIRE(::mkdir((box / dir).c_str(), 0755) == 0);
  for (const char* file : {"a/1.txt", "a/b/2.txt", "a/b/c/3.txt", "z/4.txt", "a/.5.txt", "a/b/x*y"}) write_text(box / file, "");
  REQUIRE(::symlink("/a", (box / "z/link").c_str()) == 0);
  REQUIRE(::symlink("..", (box / "a/b/up").c_str()) == 0);
  using V = std::vector<std::string>;
  CHECK(names(box.client.call(glob("/**/*.txt"))) == V{"/a/.5.txt", "/a/1.txt", "/a/b/2.txt", "/a/b/c/3.txt", "/z/4.txt"});
  CHECK(names(box.client.call(glob("/a/*.txt"))) == V{"/a/.5.txt", "/a/1.txt"});
  CHECK(names(box.client.call(glob("/a/b/x\\*y"))) == V{"/a/b/x*y"});
  CHECK(names(box.client.call(glob("/z/link/*.txt"))) == V{"/z/link/.5.txt", "/z/link/1.txt"});
  CHECK(names(box.client.call(glob("/z/*/1.txt"))) == V{"/z/link/1.txt"});
  CHECK(names(box.client.call(glob("/a/**/c"))) == V{"/a/b/c"});
  CHECK(names(box.client.call(glob("/a/b/**"))) == V{"/a/b/2.txt", "/a/b/c", "/a/b/c/3.txt", "/a/b/up", "/a/b/x*y"});
  CHECK(names(box.client.call(glob("/**/**/b/**/*.txt"))) == V{"/a/b/2.txt", "/a/b/c/3.txt"});
  CHECK(names(box.client.call(glob("/"))) == V{"/"});
  CHECK(names(box.client.call(glob("/none/*"))).empty());
  CHECK(names(box.client.call(glob("/a/1.txt/*"))).empty());
  CHECK(names(box.client.call(glob("*"))).empty());  // relative to /home
  CHECK(box.code(glob("/../*")) == Code::invalid);
  CHECK(box.code(glob("/**/*.txt", 5)) == Code::ok);
  CHECK(box.code(glob("/**/*.txt", 4)) == Code::limit);
}

TEST_CASE("glob copes with depth, breadth and loops") {
  Sandbox box;
  std::string path = box.dir.path();
  for (int i = 0; i < 300; ++i) {
    path += "/d";
    REQUIRE(::mkdir(path.c_str(), 0755) == 0);
  }
  write_text(path + "/deep", "");
  CHECK(names(box.client.call(glob("/**/deep"))).size() == 1);
  std::string many = "/";
  for (int i = 0; i < 200; ++i) many += "**/d/";
  CHECK(names(box.client.call(glob(many + "deep"))).size() == 1);
}

TEST_CASE("move") {
  Sandbox box;
  write_text(box / "a", "A");
  write_text(box / "b", "B");
  CHECK(box.code(move("/a", "/b", false)) == Code::conflict);
  CHECK(read_text(box / "b") == "B");
  CHECK(box.code(move("/a", "/b")) == Code::ok);
  CHECK(read_text(box / "b") == "A");
  CHECK(box.code(move("/a", "/c")) == Code::file_not_found);
  CHECK(box.code(move("/a", "/none/c")) == Code::file_not_found);
  CHECK(::access((box / "none").c_str(), F_OK) < 0);  // no directories for what cannot be moved
  CHECK(box.code(move("/b", "/none/deep/c")) == Code::ok);
  CHECK(read_text(box / "none/deep/c") == "A");
  CHECK(box.code(move("/none/deep/c", "/b/c")) == Code::ok);
  CHECK(box.code(move("/b/c", "/b/c/d")) == Code::invalid);
  CHECK(box.code(move("/b/c", "/moved")) == Code::ok);
  REQUIRE(::rmdir((box / "b").c_str()) == 0);
  CHECK(box.code(move("/moved", "/b")) == Code::ok);
  CHECK(box.code(move("/b", "/home")) == Code::invalid);
  CHECK(box.code(move("/home", "/b")) == Code::invalid);
  CHECK(box.code(move("/home", "/home/x")) == Code::invalid);
  CHECK(box.code(mkdir_of("/full/x", true)) == Code::ok);
  CHECK(box.code(move("/home", "/full")) == Code::conflict);
  CHECK(box.code(move("/full/", "/other/")) == Code::ok);
  // A link moves itself.
  REQUIRE(::symlink("/b", (box / "l").c_str()) == 0);
  CHECK(box.code(move("/l", "/l2")) == Code::ok);
  CHECK(S_ISLNK(mode_of(box / "l2")));
  Client host;
  struct stat tmp, shm;
  TemporaryDirectory dir;
  write_text(dir / "f", "x");
  if (::stat(dir.path().c_str(), &tmp) == 0 && ::stat("/dev/shm", &shm) == 0 && tmp.st_dev != shm.st_dev) {
    const Reply reply = host.call(move(dir / "f", "/dev/shm/stacyvm-agent-test"));
    CHECK(reply.result.code == Code::invalid);
    CHECK(reply.result.error == EXDEV);
    CHECK(reply.result.message == "move to /dev/shm/stacyvm-agent-test: not on the same file system");
  } else {
    MESSAGE("part skipped: no second file system to move to");
  }
}

TEST_CASE("mkdir, symlink and link") {
  Sandbox box;
  CHECK(box.code(mkdir_of("/d")) == Code::ok);
  CHECK(box.code(mkdir_of("/d")) == Code::conflict);
  CHECK(box.code(mkdir_of("/d", true)) == Code::ok);
  CHECK(box.code(mkdir_of("/x/y/z")) == Code::file_not_found);
  CHECK(box.code(mkdir_of("/x//y/./z/", true, 0700)) == Code::ok);
  CHECK((mode_of(box / "x/y/z") & 07777) == 0700);
  CHECK(box.code(mkdir_of("/n/../m", true)) == Code::file_not_found);
  write_text(box / "f", "x");
  CHECK(box.code(mkdir_of("/f", true)) == Code::conflict);
  CHECK(box.code(mkdir_of("/f/x", true)) == Code::invalid);
  // A dangling link on the way is not made up for.
  REQUIRE(::symlink("/nowhere", (box / "dangling").c_str()) == 0);
  CHECK(box.code(mkdir_of("/dangling/x", true)) != Code::ok);
  struct stat info;
  CHECK(::lstat((box / "nowhere").c_str(), &info) < 0);

  CHECK(box.code(SymlinkRequest{"../any \n target", "/s", false, {}, false}) == Code::ok);
  char text[64] = {};
  CHECK(::readlink((box / "s").c_str(), text, sizeof text) == 15);
  CHECK(box.code(SymlinkRequest{"t", "/s", false, {}, false}) == Code::conflict);
  CHECK(box.client.call(stat_of("/s", false)).info().target == "../any \n target");
  CHECK(box.code(SymlinkRequest{"other", "/s", false, {}, true}) == Code::ok);
  CHECK(box.client.call(stat_of("/s", false)).info().target == "other");
  CHECK(box.code(SymlinkRequest{"other", "/d", false, {}, true}) == Code::invalid);
  CHECK(box.code(SymlinkRequest{"", "/s2", false, {}, false}) == Code::invalid);
  CHECK(box.code(SymlinkRequest{"t", "/q/w/s", false, {}, false}) == Code::file_not_found);
  CHECK(box.code(SymlinkRequest{"t", "/q/w/s", true, {}, false}) == Code::ok);

  CHECK(box.code(LinkRequest{"/f", "/h", false, {}}) == Code::ok);
  CHECK(box.client.call(stat_of("/f")).info().nlink == 2);
  CHECK(box.code(LinkRequest{"/f", "/h", false, {}}) == Code::conflict);
  CHECK(box.code(LinkRequest{"/d", "/h2", false, {}}) == Code::invalid);
  CHECK(box.code(LinkRequest{"/s", "/h3", false, {}}) == Code::invalid);
  CHECK(box.code(LinkRequest{"/none", "/h4", false, {}}) == Code::file_not_found);
  CHECK(box.code(LinkRequest{"/f", "/p/h5", true, {}}) == Code::ok);
}

TEST_CASE("remove") {
  Sandbox box;
  REQUIRE(::mkdir((box / "keep").c_str(), 0755) == 0);
  write_text(box / "keep/file", "x");
  REQUIRE(::mkdir((box / "tree").c_str(), 0755) == 0);
  write_text(box / "tree/f", "x");
  REQUIRE(::symlink("/keep", (box / "tree/link").c_str()) == 0);
  REQUIRE(::symlink("/keep", (box / "toplink").c_str()) == 0);
  CHECK(box.code(remove_of("/tree")) == Code::conflict);
  CHECK(box.code(remove_of("/tree", true)) == Code::ok);
  CHECK(box.code(remove_of("/tree", true)) == Code::file_not_found);
  CHECK(box.code(remove_of("/toplink", true)) == Code::ok);
  CHECK(read_text(box / "keep/file") == "x");
  CHECK(box.code(remove_of("/keep/file")) == Code::ok);
  CHECK(box.code(remove_of("/keep/")) == Code::ok);
  CHECK(box.client.call(remove_of("/", true)).result.code == Code::conflict);
  CHECK(box.code(remove_of("/home/../", true)) == Code::invalid);
}

TEST_CASE("a large and a deep tree are removed while others are served") {
  Sandbox box;
  std::string deep = box / "tree";
  REQUIRE(::mkdir(deep.c_str(), 0755) == 0);
  for (int i = 0; i < 1500; ++i) write_text(box / ("tree/f" + std::to_string(i)), "");
  for (int i = 0; i < 300; ++i) {
    const std::string sub = box / ("tree/s" + std::to_string(i));
    REQUIRE(::mkdir(sub.c_str(), 0755) == 0);
    write_text(sub + "/x", "");
  }
  for (int i = 0; i < 1500; ++i) {
    deep += "/d";
    if (deep.size() > 3900) break;
    REQUIRE(::mkdir(deep.c_str(), 0755) == 0);
  }
  const uint32_t stream = box.client.start(remove_of("/tree", true));
  CHECK(box.client.call(stat_of("/home")).result.code == Code::ok);
  CHECK_FALSE(box.client.reply(stream).done);  // it took turns with the stat
  CHECK(box.client.wait(stream).result.code == Code::ok);
  CHECK(count_entries(box.dir.path()) == 1);
}

CopyRequest copy_of(std::string from, std::string to, bool recursive = true) { return {std::move(from), std::move(to), recursive, true, {}}; }

TEST_CASE("a deep and large tree is copied while others are served, and a cancelled copy leaves nothing") {
  Sandbox box;
  std::string deep = box / "tree";
  REQUIRE(::mkdir(deep.c_str(), 0755) == 0);
  for (int i = 0; i < 1500; ++i) write_text(box / ("tree/f" + std::to_string(i)), std::to_string(i));
  int depth = 0;
  for (; deep.size() < 3900; ++depth) {
    deep += "/d";
    REQUIRE(::mkdir(deep.c_str(), 0755) == 0);
  }
  write_text(deep + "/bottom", "here");
  const uint32_t stream = box.client.start(copy_of("/tree", "/c"));
  CHECK(box.client.call(stat_of("/home")).result.code == Code::ok);
  CHECK_FALSE(box.client.reply(stream).done);  // it took turns with the stat
  CHECK(box.client.wait(stream).result.code == Code::ok);
  std::string copied = box / "c";
  for (int i = 0; i < depth; ++i) copied += "/d";
  CHECK(read_text(copied + "/bottom") == "here");
  CHECK(read_text(box / "c/f1499") == "1499");

  const uint32_t cancelled = box.client.start(copy_of("/tree", "/never"));
  CHECK(box.client.call(stat_of("/home")).result.code == Code::ok);
  box.client.cancel(cancelled);
  CHECK(box.client.wait(cancelled).result.code == Code::cancelled);
  CHECK(count_entries(box.dir.path()) == 3);  // home, tree, c
}

TEST_CASE("a copy does not cross into a mounted file system") {
  Sandbox box;
  REQUIRE(::mkdir((box / "tree").c_str(), 0755) == 0);
  REQUIRE(::mkdir((box / "tree/mnt").c_str(), 0755) == 0);
  if (::mount("none", (box / "tree/mnt").c_str(), "tmpfs", 0, nullptr) < 0) {
    MESSAGE("skipped: cannot mount here: " << errno);
    return;
  }
  write_text(box / "tree/mnt/f", std::string(300'000, 'x'));
  const Reply whole = box.client.call(copy_of("/tree", "/c"));
  // A copy of one file may: between file systems the kernel does not copy by itself.
  const Code file = box.code(copy_of("/tree/mnt/f", "/f", false));
  const std::string text = read_text(box / "f");
  ::umount((box / "tree/mnt").c_str());
  CHECK(whole.result.code == Code::invalid);
  CHECK(whole.result.message == "copy /tree/mnt: another file system is mounted there");
  CHECK(file == Code::ok);
  CHECK(text == std::string(300'000, 'x'));
  CHECK(count_entries(box.dir.path()) == 3);  // home, tree, f
}

TEST_CASE("owners are root's to give") {
  if (!can_switch_users()) return;
  Sandbox box(true);
  CHECK(box.client.write_file(write("/home/mine"), "x").result.code == Code::ok);
  ChmodRequest chown{"/home/mine", 04755, {}, true, "4321", "77"};
  CHECK(box.code(chown) == Code::forbidden);
  CHECK(box.client.call(stat_of("/home/mine")).info().uid == 1234);
  chown.user = "0";
  CHECK(box.code(chown) == Code::ok);
  const FileInfo info = box.client.call(stat_of("/home/mine")).info();
  CHECK(info.uid == 4321);
  CHECK(info.gid == 77);
  CHECK(info.mode == 04755);  // as asked, although a new owner takes setuid away
  REQUIRE(::mkdir((box / "etc").c_str(), 0755) == 0);
  write_text(box / "etc/passwd", "me:x:1234:77::/:/bin/sh\n");
  write_text(box / "etc/group", "team:x:4567:me\n");
  CHECK(box.code(ChmodRequest{"/home/mine", 0, "0", false, "me", "team"}) == Code::ok);
  CHECK(box.client.call(stat_of("/home/mine")).info().gid == 4567);
  // To a group of one's own its owner may give it.
  CHECK(box.code(ChmodRequest{"/home/mine", 0, "me", false, {}, "77"}) == Code::ok);
  const Reply unknown = box.client.call(ChmodRequest{"/home/mine", 0, "0", false, "me", "nobodys"});
  CHECK(unknown.result.code == Code::invalid);
  CHECK(unknown.result.subject == Subject::group);
}

TEST_CASE("remove does not cross into a mounted file system") {
  Sandbox box;
  REQUIRE(::mkdir((box / "tree").c_str(), 0755) == 0);
  REQUIRE(::mkdir((box / "tree/mnt").c_str(), 0755) == 0);
  if (::mount("none", (box / "tree/mnt").c_str(), "tmpfs", 0, nullptr) < 0) {
    MESSAGE("skipped: cannot mount here: " << errno);
    return;
  }
  write_text(box / "tree/mnt/precious", "x");
  // The agent was forked before: it shares this mount namespace.
  const Code code = box.code(remove_of("/tree", true));
  const std::string precious = read_text(box / "tree/mnt/precious");
  ::umount((box / "tree/mnt").c_str());
  CHECK(code == Code::conflict);
  CHECK(precious == "x");
}

TEST_CASE("file operations have the rights of the user, no more") {
  if (!can_switch_users()) return;
  Sandbox box(true);
  CHECK(box.client.write_file(write("/home/mine"), "x").info().uid == 1234);
  CHECK(box.client.call(stat_of("/home/mine")).info().gid == 1234);
  write_text(box / "secret", "s");
  ::chmod((box / "secret").c_str(), 0600);
  CHECK(box.code(read("/secret")) == Code::forbidden);
  CHECK(box.client.write_file(write("/new"), "x").result.code == Code::forbidden);
  CHECK(box.code(remove_of("/secret")) == Code::forbidden);
  CHECK(box.code(ChmodRequest{"/secret", 0666, {}, true, {}, {}}) == Code::forbidden);
  CHECK(box.code(mkdir_of("/dir")) == Code::forbidden);
  ReadRequest as_root = read("/secret");
  as_root.user = "0";
  CHECK(box.client.call(as_root).bytes == "s");
  ReadRequest other = read("/home/mine");
  CHECK(box.code(ChmodRequest{"/home/mine", 0600, {}, true, {}, {}}) == Code::ok);
  other.user = "4321";
  CHECK(box.code(other) == Code::forbidden);
  // Names come from the sandbox's own files.
  REQUIRE(::mkdir((box / "etc").c_str(), 0755) == 0);
  write_text(box / "etc/passwd", "me:x:1234:77::/:/bin/sh\n");
  write_text(box / "etc/group", "team:x:4567:me\n");
  WriteRequest named = write("/home/named");
  named.user = "me";
  CHECK(box.client.write_file(named, "x").info().gid == 77);
  write_text(box / "team", "t");
  REQUIRE(::chown((box / "team").c_str(), 0, 4567) == 0);
  ::chmod((box / "team").c_str(), 0640);
  ReadRequest team = read("/team");
  CHECK(box.code(team) == Code::forbidden);
  team.user = "me";
  CHECK(box.client.call(team).bytes == "t");
  named.user = "root";
  CHECK(box.client.write_file(named, "x").result.code == Code::invalid);
}

TEST_CASE("a slow reader of a file stalls nobody, and cancel ends it") {
  Sandbox box;
  write_text(box / "big", std::string(8 * 1024 * 1024, 'b'));
  box.client.grant = false;
  const uint32_t stream = box.client.start(read("/big"));
  REQUIRE(box.client.pump([&] { return box.client.reply(stream).bytes.size() == kWindow; }));
  for (int i = 0; i < 50; ++i) CHECK(box.code(stat_of("/big")) == Code::ok);
  CHECK(box.client.reply(stream).bytes.size() == kWindow);
  box.client.cancel(stream);
  CHECK(box.client.wait(stream).result.code == Code::cancelled);
}

TEST_CASE("a full disk is a limit and leaves nothing behind") {
  TemporaryDirectory dir;
  if (::mount("none", dir.path().c_str(), "tmpfs", 0, "size=1m") < 0) {
    MESSAGE("skipped: cannot mount here: " << errno);
    return;
  }
  {
    const Fd root(::open(dir.path().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    Client::Setup setup;
    setup.options.root = root.get();
    Client client(setup);
    const uint32_t stream = client.start(write("/f"));
    client.send_bytes(stream, std::string(2 * 1024 * 1024, 'x'));
    CHECK(client.wait(stream).result.code == Code::limit);
    CHECK(count_entries(dir.path()) == 0);
  }
  CHECK(::umount2(dir.path().c_str(), MNT_DETACH) == 0);
}
