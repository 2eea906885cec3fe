// Who owns a state directory.
//
// The lock has to end with the owner's life, and only then. flock(2) and open file description locks belong to the open file, so a
// forked child that inherits the descriptor keeps them after the owner's death. A POSIX record lock belongs to the process: the
// kernel drops it at death and a child does not inherit it. Its two weaknesses are covered here:
// - It does not exclude a second instance in the same process: a registry of (device, inode) does.
// - Closing any descriptor of the file drops it: so the registry is asked before the file is opened, and nothing else opens it.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <vector>

#include "core/error.hpp"
#include "store/directory.hpp"
#include "store/store.hpp"

namespace svm::store {

namespace {

constexpr const char* kLockName = "lock";

struct Held {
  dev_t device;
  ino_t inode;
  pid_t pid;  // the process that took it: a child has the registry's copy but not the lock
  bool operator==(const Held&) const = default;
};

// Never destroyed: an instance may be closed by a static destructor of the application.
struct Registry {
  std::mutex mutex;
  std::vector<Held> held;
};
Registry& registry() {
  static Registry& instance = *new Registry;
  return instance;
}

Error held_by(long pid) {
  if (pid <= 0) return Error(Code::conflict, "state directory: another process has it open");
  return Error(Code::conflict, "state directory: process " + std::to_string(pid) + " has it open").with("pid", pid);
}

// The kernel names the holder, but not across pid namespaces: there the file's text is better than nothing.
long holder(int fd) {
  struct flock query {};
  query.l_type = F_WRLCK;
  query.l_whence = SEEK_SET;
  if (fcntl(fd, F_GETLK, &query) == 0 && query.l_type != F_UNLCK && query.l_pid > 0) return query.l_pid;
  char text[32] = {};
  if (pread(fd, text, sizeof text - 1, 0) <= 0) return 0;
  return std::strtol(text, nullptr, 10);
}

class PosixLock final : public DirectoryLock {
 public:
  PosixLock(Fd fd, Held held) noexcept : fd_(std::move(fd)), held_(held) {}
  ~PosixLock() override {
    if (held_.pid != getpid()) return;  // a forked child: the lock is its parent's, closing the copy leaves it
    Registry& all = registry();
    const std::lock_guard guard(all.mutex);
    std::erase(all.held, held_);
    fd_.reset();
  }

 private:
  Fd fd_;
  Held held_;
};

}  // namespace

std::unique_ptr<DirectoryLock> DirectoryLock::take(const std::string& directory) {
  const Fd parent = open_state_directory(directory, Make::yes);
  const pid_t self = getpid();
  Registry& all = registry();
  const std::lock_guard guard(all.mutex);

  const auto held_here = [&](const struct stat& info) {
    return std::find(all.held.begin(), all.held.end(), Held{info.st_dev, info.st_ino, self}) != all.held.end();
  };
  struct stat info {};
  if (fstatat(parent.get(), kLockName, &info, AT_SYMLINK_NOFOLLOW) == 0 && held_here(info)) throw held_by(self);

  Fd fd(openat(parent.get(), kLockName, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600));
  if (!fd) throw errno_error(Code::io, errno, "state directory: lock file");
  if (fstat(fd.get(), &info) != 0) throw errno_error(Code::io, errno, "state directory: lock file");
  if (held_here(info)) {
    // Somebody renamed the file we hold in between. Closing this descriptor would drop that lock; losing a descriptor is better.
    fd.release();
    throw held_by(self);
  }
  if (!S_ISREG(info.st_mode)) throw Error(Code::io, "state directory: the lock is not a regular file");
  if (fchmod(fd.get(), 0600) != 0) throw errno_error(Code::io, errno, "state directory: lock file");

  struct flock want {};
  want.l_type = F_WRLCK;
  want.l_whence = SEEK_SET;
  if (fcntl(fd.get(), F_SETLK, &want) != 0) {
    if (errno == EAGAIN || errno == EACCES) throw held_by(holder(fd.get()));
    throw errno_error(Code::io, errno, "state directory: lock");
  }
  // The text is for people and for other pid namespaces; the lock itself does not depend on it, so a full disk is no obstacle.
  char text[32];
  const int size = std::snprintf(text, sizeof text, "%ld\n", static_cast<long>(self));
  if (ftruncate(fd.get(), 0) == 0 && pwrite(fd.get(), text, static_cast<size_t>(size), 0) != size) {
    // Half a number would mislead.
    if (ftruncate(fd.get(), 0) != 0) throw errno_error(Code::io, errno, "state directory: lock file");
  }
  all.held.reserve(all.held.size() + 1);
  const Held held{info.st_dev, info.st_ino, self};
  auto lock = std::make_unique<PosixLock>(std::move(fd), held);
  all.held.push_back(held);
  return lock;
}

}  // namespace svm::store
