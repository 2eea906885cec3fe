// Trees in and out as tar archives, files to and from descriptors, and watching.
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <thread>
#include <vector>

#include "lab.hpp"

using namespace svm::test;
using stacyvm::Pairs, stacyvm::Stream;
using namespace std::chrono_literals;

namespace {

struct TreeLab : Lab {
  std::string call(const std::string& op, const std::string& body = "") { return session.call(op, {{"id", sandbox.id()}}, body); }
  Stream stream(const std::string& op, const std::string& body) { return session.call_stream(op, {{"id", sandbox.id()}}, body); }

  std::string tar_of(const std::string& path) { return stream("file.tar_get", "{\"path\":\"" + path + "\"}").read_all(); }
  void put_tar(const std::string& path, std::string_view tar) {
    Stream upload = stream("file.tar_put", "{\"path\":\"" + path + "\"}");
    upload.write(tar);
    upload.finish();
  }
  int32_t refusal(std::string_view tar) { return code_of([&] { put_tar("/workspace/t", tar); }); }

  /// The next event, as JSON; "" at the end.
  std::string event(Stream& watch) {
    stacyvm_chunk chunk;
    if (watch.next(chunk, stacyvm::Timeout(20s)) != Stream::Next::chunk) return "";
    CHECK(chunk.kind == STACYVM_CHUNK_EVENT);
    CHECK(chunk.position == ++events);
    return {static_cast<const char*>(chunk.data), chunk.size};
  }
  int64_t events = 0;
};

/// What the host's tar makes of a directory.
std::string host_tar(const std::string& directory, const std::string& options) {
  const std::string file = directory + ".tar";
  REQUIRE(std::system(("tar -C '" + directory + "' " + options + " -cf '" + file + "' .").c_str()) == 0);
  const std::string bytes = read_host_file(file);
  std::filesystem::remove(file);
  return bytes;
}

struct Pipe {
  int in = -1, out = -1;
  Pipe() {
    int fds[2];
    REQUIRE(::pipe2(fds, O_CLOEXEC) == 0);
    out = fds[0], in = fds[1];
  }
  ~Pipe() { close_in(), ::close(out); }
  void close_in() {
    if (in >= 0) ::close(in);
    in = -1;
  }
};

std::string read_to_end(int fd) {
  std::string all;
  char buffer[65536];
  for (ssize_t n; (n = ::read(fd, buffer, sizeof buffer)) > 0;) all.append(buffer, static_cast<size_t>(n));
  return all;
}

std::string pattern(size_t size) {
  std::string bytes(size, '\0');
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(i * 31 + (i >> 12) * 7 + (i >> 20));
  return bytes;
}

}  // namespace

TEST_CASE("a tree goes out as tar, which the host's tar and we ourselves read back") {
  TreeLab lab;
  sh(lab.sandbox, "mkdir -p s/d/empty && cd s && printf one > a && printf two > d/b && ln a hard && ln -s ../x link && chmod 4755 a && mkfifo fifo && touch -d @1.5 d/b"
                  " && printf x > \"$(printf 'n\\377\\nm')\" && printf y > -rf && printf z > $(printf '%0200d' 7)");
  const std::string tar = lab.tar_of("/workspace/s");
  CHECK(tar.size() % 512 == 0);
  TemporaryDirectory host;
  write_host_file(host.path() + "/t.tar", tar);
  REQUIRE(std::system(("mkdir '" + host.path() + "/out' && tar -C '" + host.path() + "/out' -xf '" + host.path() + "/t.tar'").c_str()) == 0);
  const std::string out = host.path() + "/out/";
  CHECK(read_host_file(out + "a") == "one");
  CHECK(read_host_file(out + "d/b") == "two");
  CHECK(std::filesystem::hard_link_count(out + "hard") == 2);
  CHECK(std::filesystem::read_symlink(out + "link") == "../x");
  CHECK(std::filesystem::is_directory(out + "d/empty"));
  CHECK_FALSE(std::filesystem::exists(out + "fifo"));
  CHECK((std::filesystem::status(out + "a").permissions() & std::filesystem::perms::set_uid) == std::filesystem::perms::none);
  CHECK(read_host_file(out + "n\xff\nm") == "x");
  CHECK(read_host_file(out + "-rf") == "y");
  CHECK(read_host_file(out + std::string(199, '0') + "7") == "z");

  lab.put_tar("/workspace/copy", tar);
  CHECK(sh(lab.sandbox, "cd copy && cat a d/b hard && readlink link && stat -c '%a %U' a && ls -A | wc -l && cat \"$(printf 'n\\377\\nm')\"") == "onetwoone../x\n755 user\n8\nx");
  // Again over itself: the same.
  lab.put_tar("/workspace/copy", lab.tar_of("/workspace/copy"));
  CHECK(lab.sandbox.read_file("/workspace/copy/d/b") == "two");
}

TEST_CASE("archives of other programs, compressed or not, are unpacked") {
  TreeLab lab;
  TemporaryDirectory host;
  const std::string source = host.path() + "/source";
  std::filesystem::create_directories(source + "/dev/deep");
  write_host_file(source + "/dev/deep/file", "content");
  write_host_file(source + "/" + std::string(150, 'n'), "long");
  std::filesystem::create_hard_link(source + "/dev/deep/file", source + "/hard");
  for (const char* options : {"--format=ustar --exclude=n*", "--format=gnu", "--format=posix", "-z", "-j", "-J", "--zstd"}) {
    CAPTURE(std::string(options));
    const std::string tool = options == std::string("-J") ? "xz" : options == std::string("-j") ? "bzip2" : options == std::string("--zstd") ? "zstd" : "tar";
    if (std::system(("command -v " + tool + " > /dev/null").c_str()) != 0) continue;
    lab.put_tar("/workspace/t", host_tar(source, options));
    CHECK(lab.sandbox.read_file("/workspace/t/dev/deep/file") == "content");
    CHECK(lab.sandbox.stat("/workspace/t/hard").nlink == 2);
    lab.call("file.remove", R"({"path":"/workspace/t","recursive":true})");
  }
}

TEST_CASE("an archive that is none, is cut, or climbs out is refused") {
  TreeLab lab;
  TemporaryDirectory host;
  const std::string source = host.path() + "/source";
  std::filesystem::create_directories(source);
  write_host_file(source + "/file", std::string(2000, 'f'));
  const std::string good = host_tar(source, "--format=ustar");
  CHECK(lab.refusal("this is no archive") == STACYVM_E_INVALID);
  CHECK(lab.refusal(good.substr(0, 1500)) == STACYVM_E_INVALID);
  CHECK(lab.refusal(good + good) == STACYVM_E_INVALID);
  std::string climbing = good;
  const size_t at = climbing.find("./file");
  REQUIRE(at != climbing.npos);
  CHECK(lab.refusal(host_tar(source, "--format=ustar --transform='s,^./file,../up,' -P")) == STACYVM_E_INVALID);
  CHECK(code_of([&] { lab.sandbox.stat("/workspace/up"); }) == STACYVM_E_FILE_NOT_FOUND);
  climbing[at + 1] ^= 1;
  CHECK(lab.refusal(climbing) == STACYVM_E_INVALID);  // the checksum
  CHECK(lab.refusal("") == STACYVM_E_INVALID);
  CHECK(code_of([&] { lab.put_tar("/usr/x", good); }) != STACYVM_OK);
  CHECK(code_of([&] { lab.stream("file.tar_put", R"({"path":"relative"})"); }) == STACYVM_E_INVALID);
  CHECK(code_of([&] { lab.tar_of("/none"); }) == STACYVM_E_FILE_NOT_FOUND);
  // Ten thousand times smaller than what it says it is.
  const std::string bomb = host.path() + "/bomb";
  REQUIRE(std::system(("mkdir '" + bomb + "' && truncate -s 200M '" + bomb + "/zero'").c_str()) == 0);
  const std::string squeezed = host_tar(bomb, "-z");
  CHECK(lab.refusal(squeezed) == STACYVM_E_LIMIT);
  try {
    lab.put_tar("/workspace/t", squeezed);
  } catch (const stacyvm::Error& error) {
    CHECK(std::string(error.what()).find("limit ratio") != std::string::npos);
  }
}

TEST_CASE("an upload never makes its writer wait, and one that is dropped is forgotten") {
  TreeLab lab;
  TemporaryDirectory host;
  const std::string source = host.path() + "/source";
  std::filesystem::create_directories(source);
  write_host_file(source + "/file", pattern(3'000'000));
  const std::string tar = host_tar(source, "");
  {
    Stream upload = lab.stream("file.tar_put", R"({"path":"/workspace/t"})");
    CHECK(upload.kind() == STACYVM_STREAM_WRITER);
    for (size_t at = 0; at < tar.size();) {
      const auto before = std::chrono::steady_clock::now();
      at += upload.write(std::string_view(tar).substr(at), 0ms);
      CHECK(std::chrono::steady_clock::now() - before < 5s);
    }
    CHECK(upload.finish());
    CHECK(lab.sandbox.read_file("/workspace/t/file") == pattern(3'000'000));
  }
  for (int i = 0; i < 40; ++i) {  // more than may run at once
    Stream upload = lab.stream("file.tar_put", R"({"path":"/workspace/u"})");
    upload.write(std::string_view(tar).substr(0, 100'000));
    CHECK(within(10'000, [&] { return code_of([&] { lab.stream("file.tar_put", R"({"path":"/workspace/u"})"); }) == STACYVM_OK; }));
  }
  CHECK(within(10'000, [&] { return code_of([&] { lab.sandbox.stat("/workspace/u/file"); }) == STACYVM_E_FILE_NOT_FOUND; }));
}

TEST_CASE("files and trees go to and come from descriptors of every kind") {
  TreeLab lab;
  TemporaryDirectory host;
  const std::string bytes = pattern(5'000'001);
  write_host_file(host.path() + "/in", bytes);
  const int in = ::open((host.path() + "/in").c_str(), O_RDONLY | O_CLOEXEC);
  auto put = lab.sandbox.put_file("/workspace/file", in);
  ::close(in);  // it has its own
  CHECK(put.json() == R"({"bytes":5000001})");
  CHECK(lab.sandbox.stat("/workspace/file").size == bytes.size());

  SUBCASE("a file") {
    const int out = ::open((host.path() + "/out").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    auto get = lab.sandbox.get_file("/workspace/file", out);
    ::close(out);
    CHECK(get.json() == R"({"bytes":5000001})");
    CHECK(read_host_file(host.path() + "/out") == bytes);
  }
  SUBCASE("a pipe") {
    Pipe pipe;
    auto get = lab.sandbox.get_file("/workspace/file", pipe.in);
    pipe.close_in();
    CHECK(read_to_end(pipe.out) == bytes);
    CHECK(get.json() == R"({"bytes":5000001})");
  }
  SUBCASE("a socket, both ways") {
    int fds[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    auto get = lab.sandbox.get_file("/workspace", fds[0], STACYVM_FILE_TAR);
    auto put_back = lab.sandbox.put_file("/tmp/copy", fds[1], STACYVM_FILE_TAR);
    get.wait();
    ::shutdown(fds[0], SHUT_WR);
    put_back.wait();
    CHECK(lab.sandbox.read_file("/tmp/copy/file") == bytes);
    ::close(fds[0]), ::close(fds[1]);
  }
  SUBCASE("nobody reads: no SIGPIPE, an error") {
    Pipe pipe;
    ::close(pipe.out);
    pipe.out = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    CHECK(code_of([&] { lab.sandbox.get_file("/workspace/file", pipe.in).wait(); }) == STACYVM_E_IO);
    int fds[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    ::close(fds[1]);
    CHECK(code_of([&] { lab.sandbox.get_file("/workspace/file", fds[0]).wait(); }) == STACYVM_E_IO);
    ::close(fds[0]);
  }
  SUBCASE("one that says nothing is cancelled") {
    Pipe silent, unread;  // two: in one, what the get writes would be what the put waits for
    auto stuck_put = lab.sandbox.put_file("/workspace/never", silent.out);
    auto stuck_get = lab.sandbox.get_file("/workspace/file", unread.in);
    std::this_thread::sleep_for(20ms);
    stuck_put.cancel();
    stuck_get.cancel();
    CHECK(code_of([&] { stuck_put.wait(); }) == STACYVM_E_CANCELLED);
    CHECK(code_of([&] { stuck_get.wait(); }) == STACYVM_E_CANCELLED);
    CHECK(code_of([&] { lab.sandbox.stat("/workspace/never"); }) == STACYVM_E_FILE_NOT_FOUND);
  }
  SUBCASE("mistakes") {
    CHECK(code_of([&] { lab.sandbox.get_file("/workspace/file", -1); }) == STACYVM_E_INVALID);
    CHECK(code_of([&] { lab.sandbox.put_file("/workspace/file", 9999); }) == STACYVM_E_INVALID);
    Pipe pipe;
    CHECK(details_of([&] { lab.sandbox.get_file("/workspace/file", pipe.out); }) == R"({"field":"to_fd"})");
    CHECK(details_of([&] { lab.sandbox.put_file("/workspace/file", pipe.in); }) == R"({"field":"from_fd"})");
    CHECK(code_of([&] { lab.sandbox.get_file("/workspace/file", 1, STACYVM_FILE_EXCLUSIVE); }) == STACYVM_E_INVALID);
    CHECK(code_of([&] { lab.sandbox.put_file("/workspace/file", 1, STACYVM_FILE_TAR | STACYVM_FILE_EXCLUSIVE); }) == STACYVM_E_INVALID);
    CHECK(code_of([&] { lab.sandbox.get_file("/none", pipe.in).wait(); }) == STACYVM_E_FILE_NOT_FOUND);
    pipe.close_in();
    CHECK(code_of([&] { lab.sandbox.put_file("/workspace/file", pipe.out, STACYVM_FILE_EXCLUSIVE).wait(); }) == STACYVM_E_CONFLICT);
  }
}

TEST_CASE("what changes below a path is told as events") {
  TreeLab lab;
  Stream watch = lab.sandbox.watch("/workspace", STACYVM_FILE_RECURSIVE);
  CHECK(watch.kind() == STACYVM_STREAM_WATCH);
  CHECK(lab.event(watch) == R"({"type":"watching","path":"/workspace","is_dir":true})");
  lab.sandbox.write_file("/workspace/d/f", "x");
  // How the file came to its name is the writer's affair: in the end it is there.
  std::string seen;
  while (seen.find(R"("to":"/workspace/d/f")") == seen.npos && seen.find(R"({"type":"created","path":"/workspace/d/f")") == seen.npos) {
    const std::string event = lab.event(watch);
    REQUIRE(event != "");
    seen += event + "\n";
  }
  CHECK(seen.starts_with(R"({"type":"created","path":"/workspace/d","is_dir":true})"));
  sh(lab.sandbox, "mv d/f \"$(printf 'd/\\377')\"; chmod 600 d/*; rm d/*; rmdir d");
  const auto skip_to = [&](const std::string& wanted) {
    for (std::string event; (event = lab.event(watch)) != wanted;) REQUIRE(event != "");
  };
  skip_to(R"({"type":"renamed","path":"/workspace/d/f","to_b64":"L3dvcmtzcGFjZS9kL/8=","is_dir":false})");
  skip_to(R"({"type":"attributes","path_b64":"L3dvcmtzcGFjZS9kL/8=","is_dir":false})");
  skip_to(R"({"type":"removed","path_b64":"L3dvcmtzcGFjZS9kL/8=","is_dir":false})");
  skip_to(R"({"type":"removed","path":"/workspace/d","is_dir":true})");
  stacyvm_chunk chunk;
  CHECK(watch.next(chunk, 0ms) == Stream::Next::again);
  CHECK(code_of([&] { watch.read_all(); }) == STACYVM_E_INVALID);
}

TEST_CASE("a watch ends with what it watches, and with its sandbox") {
  TreeLab lab;
  sh(lab.sandbox, "mkdir d");
  Stream watch = lab.sandbox.watch("/workspace/d");
  lab.event(watch);
  sh(lab.sandbox, "rmdir d");
  CHECK(lab.event(watch) == R"({"type":"removed","path":"/workspace/d","is_dir":true})");
  CHECK(lab.event(watch) == "");
  stacyvm_chunk chunk;
  auto other = lab.sandbox.watch("/workspace");
  REQUIRE(other.next(chunk, stacyvm::Timeout(10s)) == Stream::Next::chunk);
  lab.sandbox.destroy();
  CHECK(code_of([&] { other.next(chunk, stacyvm::Timeout(10s)); }) == STACYVM_E_CLOSED);
  Lab second;
  auto none = second.sandbox.watch("/none");
  CHECK(code_of([&] { none.next(chunk, stacyvm::Timeout(10s)); }) == STACYVM_E_FILE_NOT_FOUND);
}

TEST_CASE("one sandbox cannot use up another's inotify instances") {
  Lab first, second;
  SVM_SKIP_UNLESS(first.sandbox.exec({.shell = "command -v python3"}).exit_code == 0, "no python3 inside");
  stacyvm::Exec hog;
  hog.argv = {"python3", "-c", "import ctypes,sys\nl=ctypes.CDLL(None)\nn=0\nwhile l.inotify_init()>=0: n+=1\nprint(n,flush=True)\nsys.stdin.read()"};
  hog.flags = STACYVM_EXEC_STDIN;
  auto holding = first.sandbox.exec_start(hog);
  stacyvm_chunk chunk;
  REQUIRE(holding.next(chunk, stacyvm::Timeout(20s)) == Stream::Next::chunk);
  auto watch = second.sandbox.watch("/workspace");
  CHECK(watch.next(chunk, stacyvm::Timeout(20s)) == Stream::Next::chunk);
  // Those that the sandbox used up are its own.
  auto own = first.sandbox.watch("/workspace");
  CHECK(code_of([&] { own.next(chunk, stacyvm::Timeout(20s)); }) == STACYVM_E_LIMIT);
}
