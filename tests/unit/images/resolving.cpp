// What a reference is.
#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "archives.hpp"
#include "core/error.hpp"
#include "images/image.hpp"
#include "images/tar_reader.hpp"
#include "writer.hpp"

using namespace svm::images;
using namespace svm::images::test;
using svm::Code;
using svm::Error;
namespace fs = std::filesystem;

namespace {

class Folder {
 public:
  Folder() {
    std::string name = (fs::temp_directory_path() / "svm-images-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path = fs::canonical(name);
  }
  ~Folder() { fs::remove_all(path); }
  std::string file(const std::string& name, const std::string& bytes) const {
    std::ofstream(path / name, std::ios::binary) << bytes;
    return path / name;
  }
  std::string directory(const std::string& name) const {
    fs::create_directories(path / name);
    return path / name;
  }
  fs::path path;
};

Code code_of(std::string_view reference, bool local = true) {
  try {
    (void)resolve(reference, local);
    return Code::ok;
  } catch (const Error& error) {
    return error.code();
  }
}

std::string message_of(std::string_view reference, bool local = true) {
  try {
    (void)resolve(reference, local);
    return "";
  } catch (const Error& error) {
    return error.message();
  }
}

}  // namespace

TEST_CASE("host") {
  for (const bool local : {true, false}) {
    const Root root = resolve("host", local);
    CHECK(root.kind == RootKind::host);
    CHECK(root.path.empty());
  }
}

TEST_CASE("what needs a registry is not available, and says what would provide it") {
  for (const char* reference : {"alpine", "alpine:3.20", "ghcr.io/a/b@sha256:00", "host ", "Host", "root.tar", ""}) {
    CAPTURE(reference);
    CHECK(code_of(reference) == Code::unsupported);
    CHECK(message_of(reference).find("provider") != std::string::npos);
  }
}

TEST_CASE("a name may say which of its kind") {
  for (const char* name : {"alpine:3", "alpine@sha256:00", "localhost:5000/a/alpine:3"}) CHECK_MESSAGE(has_tag(name), std::string(name));
  for (const char* name : {"alpine", "", "localhost:5000/alpine", "a:b/c", "a/b/"}) CHECK_MESSAGE(!has_tag(name), std::string(name));
}

TEST_CASE("a path is for local callers, and whether it exists too") {
  const Folder folder;
  CHECK(code_of(folder.path.string(), false) == Code::forbidden);
  CHECK(code_of("/does/not/exist", false) == Code::forbidden);
  CHECK(code_of("./x", false) == Code::forbidden);
  CHECK(message_of("/does/not/exist", false).find("/does") == std::string::npos);
  CHECK(code_of("/does/not/exist") == Code::not_found);
  CHECK(code_of(folder.file("f", "x") + "/below") == Code::not_found);
  CHECK(code_of(std::string_view("/tmp\0/x", 7)) == Code::invalid);
}

TEST_CASE("a directory, with links resolved, and what it was") {
  const Folder folder;
  const std::string root = folder.directory("root");
  fs::create_directory_symlink("root", folder.path / "link");
  const Root found = resolve((folder.path / "link").string() + "/../link/.", true);
  struct stat info;
  REQUIRE(::stat(root.c_str(), &info) == 0);
  CHECK(found.kind == RootKind::directory);
  CHECK(found.path == root);
  CHECK(found.device == info.st_dev);
  CHECK(found.inode == info.st_ino);
}

TEST_CASE("a directory's mount points are directories or missing") {
  for (const char* name : {"dev", "proc", "sys", "dev/pts", "dev/shm"}) {
    CAPTURE(name);
    const Folder folder;
    const std::string root = folder.directory("root");
    const fs::path point = fs::path(root) / name;
    fs::create_directories(point);
    CHECK(code_of(root) == Code::ok);
    fs::remove(point);
    CHECK(code_of(root) == Code::ok);
    fs::create_directory_symlink("/", point);
    CHECK(code_of(root) == Code::invalid);
    CHECK(message_of(root).find(name) != std::string::npos);
    CHECK(message_of(root).find(root) == std::string::npos);
    fs::remove(point);
    fs::create_symlink("/does/not/exist", point);
    CHECK(code_of(root) == Code::invalid);
    fs::remove(point);
    std::ofstream(point.string()) << "x";
    CHECK(code_of(root) == Code::invalid);
  }
}

TEST_CASE("an archive, by its first entry") {
  const Folder folder;
  const std::string tar = entry("a", "x") + end_mark();
  for (const auto compression : {Compression::none, Compression::gzip, Compression::zstd, Compression::xz, Compression::bzip2}) {
    const std::string path = folder.file("root", compress(tar, compression));
    const Root found = resolve(path, true);
    CHECK(found.kind == RootKind::tar);
    CHECK(found.path == path);
    TarReader reader = TarReader::open(found);
    TarEntry first;
    CHECK(reader.next(first));
    CHECK(first.path == "a");
    CHECK_FALSE(reader.next(first));
  }
  CHECK(code_of(folder.file("text", "hello")) == Code::invalid);
  CHECK(code_of(folder.file("empty", "")) == Code::invalid);
  CHECK(code_of(folder.file("none", end_mark())) == Code::invalid);
  CHECK(code_of(folder.file("up", entry("../a", "x") + end_mark())) == Code::invalid);
}

TEST_CASE("what is neither does not block") {
  const Folder folder;
  const std::string fifo = folder.path / "fifo";
  REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
  CHECK(code_of(fifo) == Code::invalid);
  CHECK(code_of("/dev/null") == Code::invalid);
}

TEST_CASE("an archive that was exchanged after it was resolved is not read") {
  const Folder folder;
  const Root found = resolve(folder.file("root", entry("a", "x") + end_mark()), true);
  const std::string other = folder.file("other", entry("b", "x") + end_mark());
  fs::rename(other, found.path);
  try {
    (void)TarReader::open(found);
    FAIL("read");
  } catch (const Error& error) {
    CHECK(error.code() == Code::conflict);
  }
  fs::remove(found.path);
  CHECK_THROWS_AS((void)TarReader::open(found), Error);
}
