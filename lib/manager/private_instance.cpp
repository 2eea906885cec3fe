#include "manager/private_instance.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <new>
#include <string_view>
#include <vector>

#include "core/error.hpp"
#include "core/id.hpp"
#include "isolation/cgroup.hpp"
#include "providers/runtime_directory.hpp"

namespace svm::manager {
namespace {

constexpr std::string_view kSuffix = ".lock";
constexpr size_t kMaxSwept = 256;  // leftovers removed in one go

// flock would be kept by a forked child of the owner; a POSIX lock is the process's own, and ends with it. It also ends when the process
// closes any descriptor of the file, so nothing but the owner ever opens it: sweep() passes over the ids of this process.
bool try_lock(int fd) noexcept {
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  return ::fcntl(fd, F_SETLK, &lock) == 0;
}
}  // namespace

PrivateInstance::PrivateInstance() : directory_(providers::open_runtime_directory()) {
  sweep();
  // The pid in the name keeps sweep() of the same process away from its own locks.
  id_ = random_id("p") + "-" + std::to_string(::getpid());
  name_ = id_ + std::string(kSuffix);
  file_.reset(::openat(directory_.get(), name_.c_str(), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600));
  if (!file_) throw errno_error(Code::io, errno, "runtime directory");
  if (!try_lock(file_.get())) throw errno_error(Code::io, errno, "instance lock");
}

PrivateInstance::~PrivateInstance() {
  try {
    // A launcher that was killed, because an open failed half way for example, has not removed its own. Nobody else ever has this id.
    (void)isolation::remove_stale_cgroups(id_.c_str());
  } catch (const std::bad_alloc&) {
    return;  // the file stays, and the next sweep finds both
  }
  (void)::unlinkat(directory_.get(), name_.c_str(), 0);
}

void PrivateInstance::sweep() {
  const int copy = ::openat(directory_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (copy < 0) throw errno_error(Code::io, errno, "runtime directory");
  const std::unique_ptr<DIR, int (*)(DIR*)> entries(::fdopendir(copy), ::closedir);
  if (!entries) {
    ::close(copy);
    throw errno_error(Code::io, errno, "runtime directory");
  }
  const std::string own = "-" + std::to_string(::getpid()) + std::string(kSuffix);
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(entries.get())) {
    const std::string_view name = entry->d_name;
    if (name.ends_with(kSuffix) && !name.ends_with(own) && names.size() < kMaxSwept) names.emplace_back(name);
  }
  for (const std::string& name : names) {
    Fd file(::openat(directory_.get(), name.c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC));
    if (!file || !try_lock(file.get())) continue;  // it lives, or another sweep has it
    (void)isolation::remove_stale_cgroups(name.substr(0, name.size() - kSuffix.size()).c_str());
    (void)::unlinkat(directory_.get(), name.c_str(), 0);
  }
}

}  // namespace svm::manager
