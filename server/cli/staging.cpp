#include "staging.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>

#include <cerrno>
#include <memory>
#include <system_error>
#include <vector>

#include "output.hpp"

namespace cli {
namespace {

[[noreturn]] void fail(int error, const std::string& what) { throw std::system_error(error, std::generic_category(), what); }

std::string random_name() {
  unsigned char bytes[8];
  if (::getrandom(bytes, sizeof bytes, 0) != static_cast<ssize_t>(sizeof bytes)) fail(errno, "cannot get random bytes");
  std::string name = ".stacyvm-cp-";
  for (const unsigned char byte : bytes) {
    name += "0123456789abcdef"[byte >> 4];
    name += "0123456789abcdef"[byte & 15];
  }
  return name;
}

Descriptor open_child(int parent, const std::string& name) {
  Descriptor child(::openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!child) fail(errno, "cannot open the directory " + name);
  return child;
}

std::vector<std::string> names_in(int directory) {
  Descriptor own(::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const std::unique_ptr<DIR, int (*)(DIR*)> entries(own ? ::fdopendir(own.get()) : nullptr, &::closedir);
  if (!entries) fail(errno, "cannot read a directory");
  own.release();  // the stream's now
  std::vector<std::string> names;
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(entries.get());
    if (!entry) break;
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  if (errno) fail(errno, "cannot read a directory");
  return names;
}

/// A directory that another one gets must be writable: its ".." changes.
void move_entry(int from, int to, const std::string& name, const struct stat& info) {
  const bool locked = S_ISDIR(info.st_mode) && (info.st_mode & S_IWUSR) == 0;
  Descriptor directory;
  if (locked) {
    directory = open_child(from, name);
    if (::fchmod(directory.get(), (info.st_mode & 07777) | S_IRWXU) < 0) fail(errno, "cannot move " + name);
  }
  if (::renameat(from, name.c_str(), to, name.c_str()) < 0) fail(errno, "cannot move " + name);
  if (locked && ::fchmod(directory.get(), info.st_mode & 07777) < 0) fail(errno, "cannot set the permissions of " + name);
}

enum class Pass { look, move };

void merge_directory(int from, int to, const std::string& where, Pass pass) {
  struct stat own, there;
  if (::fstat(to, &own) < 0) fail(errno, "cannot look at " + where);
  for (const std::string& name : names_in(from)) {
    const std::string path = where + name;
    struct stat coming;
    if (::fstatat(from, name.c_str(), &coming, AT_SYMLINK_NOFOLLOW) < 0) fail(errno, "cannot look at " + path);
    if (::fstatat(to, name.c_str(), &there, AT_SYMLINK_NOFOLLOW) < 0) {
      if (errno != ENOENT) fail(errno, "cannot look at " + path);
      if (pass == Pass::move) move_entry(from, to, name, coming);
      continue;
    }
    if (S_ISDIR(coming.st_mode) != S_ISDIR(there.st_mode)) fail(EEXIST, path + " is in the way");
    if (!S_ISDIR(coming.st_mode)) {
      if (pass == Pass::move) move_entry(from, to, name, coming);
      continue;
    }
    if (there.st_dev != own.st_dev) fail(EXDEV, "cannot copy into " + path);
    // What is there keeps its own permissions: those of the one that comes are needed no more.
    if (::fchmodat(from, name.c_str(), S_IRWXU, 0) < 0) fail(errno, "cannot open " + path);
    merge_directory(open_child(from, name).get(), open_child(to, name).get(), path + '/', pass);
  }
}

void empty_directory(int directory);

void remove_entry(int parent, const std::string& name) {
  if (::unlinkat(parent, name.c_str(), 0) == 0 || errno == ENOENT) return;
  if (errno != EISDIR && errno != EPERM) fail(errno, "cannot remove " + name);
  // As its owner; one that is no directory is not followed.
  if (::unlinkat(parent, name.c_str(), AT_REMOVEDIR) == 0) return;
  Descriptor path(::openat(parent, name.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!path) fail(errno, "cannot remove " + name);
  if (::chmod(("/proc/self/fd/" + std::to_string(path.get())).c_str(), S_IRWXU) < 0) fail(errno, "cannot remove " + name);
  empty_directory(open_child(parent, name).get());
  if (::unlinkat(parent, name.c_str(), AT_REMOVEDIR) < 0) fail(errno, "cannot remove " + name);
}

void empty_directory(int directory) {
  for (const std::string& name : names_in(directory)) remove_entry(directory, name);
}

}  // namespace

Descriptor open_directory(const std::string& path) {
  Descriptor directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory) fail(errno, "cannot open the directory " + path);
  return directory;
}

void remove_tree(int parent, const std::string& name) { remove_entry(parent, name); }

Staging Staging::file(int parent) {
  Staging staging(parent, random_name());
  staging.fd_.reset(::openat(parent, staging.name_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!staging.fd_) {
    staging.name_.clear();
    fail(errno, "cannot make a file there");
  }
  return staging;
}

Staging Staging::directory(int parent) {
  Staging staging(parent, random_name());
  if (::mkdirat(parent, staging.name_.c_str(), 0700) < 0) {
    staging.name_.clear();
    fail(errno, "cannot make a directory there");
  }
  staging.fd_ = open_child(parent, staging.name_);
  return staging;
}

Staging::Staging(Staging&& other) noexcept : parent_(other.parent_), name_(std::move(other.name_)), fd_(std::move(other.fd_)) { other.name_.clear(); }

Staging::~Staging() {
  if (name_.empty()) return;
  try {
    remove_tree(parent_, name_);
  } catch (const std::exception& error) {
    complain(name_ + " is left: " + error.what());
  }
}

void Staging::place(const std::string& name, unsigned mode) {
  if (::fchmod(fd_.get(), mode) < 0) fail(errno, "cannot set the permissions of " + name);
  if (::renameat(parent_, name_.c_str(), parent_, name.c_str()) < 0) fail(errno, "cannot make " + name);
  name_.clear();
}

void Staging::merge(int into) {
  for (const Pass pass : {Pass::look, Pass::move}) merge_directory(fd_.get(), into, "", pass);
}

}  // namespace cli
