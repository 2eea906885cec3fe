// Archives that mean harm, unpacked onto this machine; and what is packed, unpacked again.
#include <archive.h>
#include <archive_entry.h>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>

#include "pack.hpp"
#include "staging.hpp"
#include "unpack.hpp"

namespace fs = std::filesystem;
using namespace cli;

namespace {

/// "inside" is where archives go; "outside" has a file that must stay as it is.
class Place {
 public:
  Place() {
    char name[] = "/tmp/stacyvm-unpack-XXXXXX";
    REQUIRE(::mkdtemp(name));
    top_ = name;
    fs::create_directory(top_ / "inside");
    fs::create_directory(top_ / "outside");
    std::ofstream(top_ / "outside/file") << "safe";
    directory_ = open_directory((top_ / "inside").string());
  }
  ~Place() {
    directory_.reset();
    remove_tree(AT_FDCWD, top_.string());
  }
  int fd() const { return directory_.get(); }
  fs::path inside(const char* path = "") const { return top_ / "inside" / path; }
  std::string outside(const char* path = "") const { return (top_ / "outside" / path).string(); }
  /// Nothing was written, made or removed beside the directory.
  bool untouched() const {
    const auto count = [](const fs::path& path) { return std::distance(fs::directory_iterator(path), fs::directory_iterator()); };
    struct stat info;
    return count(top_) == 2 && count(top_ / "outside") == 1 && read(top_ / "outside/file") == "safe" && ::stat(outside("file").c_str(), &info) == 0 && info.st_nlink == 1;
  }
  static std::string read(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

 private:
  fs::path top_;
  Descriptor directory_;
};

class Tar {
 public:
  Tar() : out_(::archive_write_new()) {
    ::archive_write_set_format_pax(out_);
    ::archive_write_set_format_option(out_, "pax", "hdrcharset", "BINARY");
    REQUIRE(::archive_write_open(out_, this, nullptr, &Tar::take, nullptr) == ARCHIVE_OK);
  }
  ~Tar() { ::archive_write_free(out_); }
  Tar& add(const std::string& path, unsigned type, const std::string& text = "", unsigned mode = 0755) {
    archive_entry* entry = ::archive_entry_new();
    ::archive_entry_copy_pathname(entry, path.c_str());
    ::archive_entry_set_filetype(entry, type);
    ::archive_entry_set_perm(entry, mode);
    if (type == AE_IFLNK) ::archive_entry_copy_symlink(entry, text.c_str());
    if (type == AE_IFREG) ::archive_entry_set_size(entry, static_cast<la_int64_t>(text.size()));
    write(entry, type == AE_IFREG ? text : "");
    return *this;
  }
  Tar& link(const std::string& path, const std::string& target) {
    archive_entry* entry = ::archive_entry_new();
    ::archive_entry_copy_pathname(entry, path.c_str());
    ::archive_entry_set_filetype(entry, AE_IFREG);
    ::archive_entry_set_perm(entry, 0644);
    ::archive_entry_copy_hardlink(entry, target.c_str());
    ::archive_entry_set_size(entry, 0);
    write(entry, "");
    return *this;
  }
  std::string bytes() {
    ::archive_write_close(out_);
    return bytes_;
  }

 private:
  void write(archive_entry* entry, const std::string& content) {
    REQUIRE(::archive_write_header(out_, entry) >= ARCHIVE_WARN);
    if (!content.empty()) REQUIRE(::archive_write_data(out_, content.data(), content.size()) == static_cast<la_ssize_t>(content.size()));
    ::archive_entry_free(entry);
  }
  static la_ssize_t take(archive*, void* self, const void* bytes, size_t size) {
    static_cast<Tar*>(self)->bytes_.append(static_cast<const char*>(bytes), size);
    return static_cast<la_ssize_t>(size);
  }
  archive* out_;
  std::string bytes_;
};

/// Makes the archive's file of that name a hard link that has the file's content, which libarchive does not write.
std::string with_link(std::string bytes, const std::string& name, const std::string& target) {
  size_t header = 0;
  while (bytes.compare(header, name.size() + 1, name.c_str(), name.size() + 1) != 0) REQUIRE((header += 512) < bytes.size());
  bytes[header + 156] = '1';
  bytes.replace(header + 157, target.size(), target);
  bytes.replace(header + 148, 8, 8, ' ');
  unsigned sum = 0;
  for (size_t i = 0; i < 512; ++i) sum += static_cast<unsigned char>(bytes[header + i]);
  char digits[8];
  std::snprintf(digits, sizeof digits, "%06o", sum);
  bytes.replace(header + 148, 7, digits, 7);
  return bytes;
}

uint64_t unpack_bytes(const Place& place, const std::string& bytes) {
  size_t at = 0;
  uint64_t written = 0;
  unpack(place.fd(), {[&](void* into, size_t most) {
                        const size_t n = std::min({most, bytes.size() - at, size_t{1000}});
                        std::memcpy(into, bytes.data() + at, n);
                        at += n;
                        return n;
                      },
                      [&](uint64_t n) { written += n; }, [] {}});
  return written;
}

/// It is refused, and did nothing outside.
bool refused(Tar& tar) {
  Place place;
  CHECK_THROWS_AS(unpack_bytes(place, tar.bytes()), std::runtime_error);
  return place.untouched();
}

}  // namespace

TEST_CASE("an archive as it should be") {
  Place place;
  const fs::path before = fs::current_path();
  CHECK(unpack_bytes(place, Tar().add("d", AE_IFDIR, "", 0555).add("d/f", AE_IFREG, "text", 06751).add("e/l", AE_IFLNK, "/nowhere").link("d/h", "d/f").bytes()) == 4);
  CHECK(fs::current_path() == before);
  struct stat info;
  REQUIRE(::stat(place.inside("d/f").c_str(), &info) == 0);
  CHECK((info.st_mode & 07777) == 0751);
  CHECK(info.st_nlink == 2);
  CHECK(Place::read(place.inside("d/h")) == "text");
  REQUIRE(::stat(place.inside("d").c_str(), &info) == 0);
  CHECK((info.st_mode & 07777) == 0555);
  CHECK(fs::read_symlink(place.inside("e/l")) == "/nowhere");
  CHECK(place.untouched());
}

TEST_CASE("names that lead out") {
  for (const char* path : {"../outside/new", "/tmp/stacyvm-unpack-absolute", "a/../../outside/new", "a/b/..", "..", "../outside/file"}) {
    Tar tar;
    CHECK(refused(tar.add(path, AE_IFREG, "bad")));
    Tar directory;
    CHECK(refused(directory.add(path, AE_IFDIR)));
    Tar link;
    CHECK(refused(link.add(path, AE_IFLNK, "x")));
  }
  CHECK_FALSE(fs::exists("/tmp/stacyvm-unpack-absolute"));
}

TEST_CASE("what goes through a symbolic link") {
  for (const char* target : {"../outside", ".", "d"}) {
    Place place;
    Tar tar;
    tar.add("d", AE_IFDIR).add("l", AE_IFLNK, target).add("l/file", AE_IFREG, "bad");
    CHECK_THROWS_AS(unpack_bytes(place, tar.bytes()), std::runtime_error);
    CHECK(place.untouched());
    CHECK_FALSE(fs::exists(place.inside("d/file")));
  }
  Tar deep;
  CHECK(refused(deep.add("a", AE_IFDIR).add("a/l", AE_IFLNK, "../../outside").add("a/l/sub/new", AE_IFREG, "bad")));
  Tar directory;
  CHECK(refused(directory.add("l", AE_IFLNK, "../outside").add("l/made", AE_IFDIR)));
  // A file in the place of a link replaces it.
  Place place;
  unpack_bytes(place, Tar().add("l", AE_IFLNK, "../outside/file").add("l", AE_IFREG, "mine").bytes());
  CHECK(place.untouched());
  CHECK_FALSE(fs::is_symlink(place.inside("l")));
  CHECK(Place::read(place.inside("l")) == "mine");
  // A directory in the place of a link changes nothing of what the link leads to.
  Place other;
  Tar mode;
  mode.add("l", AE_IFLNK, "../outside").add("l", AE_IFDIR, "", 0700);
  try {
    unpack_bytes(other, mode.bytes());
  } catch (const std::runtime_error&) {
  }
  struct stat info;
  REQUIRE(::stat(other.outside().c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) != 0700);
  CHECK(other.untouched());
}

TEST_CASE("hard links") {
  for (const char* target : {"../outside/file", "/etc/passwd", "none"}) {
    Tar tar;
    CHECK(refused(tar.link("h", target)));
  }
  Tar through;
  CHECK(refused(through.add("l", AE_IFLNK, "../outside").link("h", "l/file")));
  // One to a symbolic link, with content to write through it.
  Place place;
  Tar content;
  content.add("l", AE_IFLNK, "../outside/file").add("h_", AE_IFREG, "bad");
  try {
    unpack_bytes(place, with_link(content.bytes(), "h_", "l"));
  } catch (const std::runtime_error&) {
  }
  CHECK(place.untouched());
  // To a file: there is one content.
  Place other;
  Tar file;
  file.add("f", AE_IFREG, "text").add("h_", AE_IFREG, "more");
  try {
    unpack_bytes(other, with_link(file.bytes(), "h_", "f"));
    CHECK(Place::read(other.inside("h_")) == "text");
  } catch (const std::runtime_error&) {
  }
  CHECK(other.untouched());
}

TEST_CASE("what is no file, directory or link") {
  for (const unsigned type : {AE_IFIFO, AE_IFCHR, AE_IFBLK, AE_IFSOCK}) {
    Place place;
    Tar tar;
    // Written as a FIFO, for libarchive writes no sockets.
    tar.add("x", type == AE_IFSOCK ? AE_IFIFO : type);
    CHECK_THROWS_AS(unpack_bytes(place, tar.bytes()), std::runtime_error);
    CHECK(fs::is_empty(place.inside()));
  }
}

TEST_CASE("archives that break off, or are none") {
  const std::string whole = Tar().add("d", AE_IFDIR).add("d/f", AE_IFREG, std::string(5000, 'x')).bytes();
  for (const size_t size : {size_t{100}, size_t{512}, size_t{700}, whole.find("xxxx"), whole.find("xxxx") + 3000}) {
    Place place;
    if (size % 512 != 0) CHECK_THROWS_AS(unpack_bytes(place, whole.substr(0, size)), std::runtime_error);
  }
  Place place;
  CHECK_THROWS_AS(unpack_bytes(place, std::string(2000, 'x')), std::runtime_error);
  // What reading throws is passed on.
  struct Mine {};
  CHECK_THROWS_AS(unpack(place.fd(), {[](void*, size_t) -> size_t { throw Mine(); }, [](uint64_t) {}, [] {}}), Mine);
}

TEST_CASE("what is packed is unpacked the same") {
  Place from, to;
  fs::create_directories(from.inside("a/empty"));
  std::ofstream(from.inside("a/\xff odd \xc3\xa9")) << "odd";
  std::ofstream(from.inside("a/large")) << std::string(1'000'000, 'y');
  fs::permissions(from.inside("a/large"), fs::perms(0640));
  fs::create_symlink("../large", from.inside("a/empty/link"));
  const std::string deep = "a/" + std::string(200, 'n') + '/' + std::string(200, 'm');
  fs::create_directories(from.inside(deep.c_str()));
  REQUIRE(::mkfifo(from.inside("fifo").c_str(), 0600) == 0);
  std::string bytes, left_out;
  uint64_t took = 0, files = 0;
  pack(from.fd(), {[&](const void* data, size_t size) { bytes.append(static_cast<const char*>(data), size); }, [&](uint64_t n) { took += n; }, [&] { ++files; },
                   [&](const std::string& path) { left_out += path; }});
  CHECK(took == 1'000'003);
  CHECK(files == 2);
  CHECK(left_out == "fifo");
  CHECK(unpack_bytes(to, bytes) == took);
  CHECK(Place::read(to.inside("a/\xff odd \xc3\xa9")) == "odd");
  CHECK(Place::read(to.inside("a/large")) == std::string(1'000'000, 'y'));
  CHECK(fs::status(to.inside("a/large")).permissions() == fs::perms(0640));
  CHECK(fs::read_symlink(to.inside("a/empty/link")) == "../large");
  CHECK(fs::is_directory(to.inside(deep.c_str())));
  struct Mine {};
  CHECK_THROWS_AS(pack(from.fd(), {[](const void*, size_t) { throw Mine(); }, [](uint64_t) {}, [] {}, [](const std::string&) {}}), Mine);
}
