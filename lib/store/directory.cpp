#include "store/directory.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

#include "core/error.hpp"

namespace svm::store {

namespace {

constexpr mode_t kPrivate = 0700;

// umask(2) belongs to the whole process, so a library cannot set it. It can only take bits away: the directory is never more open
// than 0700, and the fchmod gives back what the umask took.
void make_directory(const std::string& path) {
  if (mkdir(path.c_str(), kPrivate) != 0) {
    if (errno == EEXIST) return;
    throw errno_error(errno, "state directory: mkdir");
  }
  const Fd made(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!made) throw errno_error(errno, "state directory: open");
  if (fchmod(made.get(), kPrivate) != 0) throw errno_error(errno, "state directory: chmod");
}

void make_path(const std::string& path) {
  for (size_t end = path.find('/', 1); end != std::string::npos; end = path.find('/', end + 1)) {
    const std::string parent = path.substr(0, end);
    struct stat info {};
    if (stat(parent.c_str(), &info) != 0) make_directory(parent);
  }
  make_directory(path);
}

}  // namespace

Fd open_state_directory(const std::string& path, Make make) {
  if (path.empty() || path.find('\0') != std::string::npos) throw Error(Code::invalid, "state directory: not a path");
  constexpr int kFlags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
  Fd directory(open(path.c_str(), kFlags));
  if (!directory && errno == ENOENT) {
    if (make == Make::no) throw Error(Code::not_found, "state directory: it does not exist");
    make_path(path);
    directory.reset(open(path.c_str(), kFlags));
  }
  if (!directory) throw errno_error(Code::io, errno, "state directory: open");
  struct stat info {};
  if (fstat(directory.get(), &info) != 0) throw errno_error(Code::io, errno, "state directory: stat");
  if (info.st_uid != geteuid() && info.st_uid != 0) {
    throw Error(Code::forbidden, "state directory: it belongs to another user");
  }
  if ((info.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    throw Error(Code::forbidden, "state directory: other users may write to it");
  }
  return directory;
}

}  // namespace svm::store
