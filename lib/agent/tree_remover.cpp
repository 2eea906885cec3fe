#include "agent/tree_remover.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "agent/proc_self.hpp"

namespace svm::agent {
namespace {
constexpr size_t kMaxDepth = 10'000;
}

int TreeRemover::start(int parent, const std::string& name) {
  top_ = parent;
  return descend(parent, name);
}

int TreeRemover::open(int parent, const std::string& name, Fd& out) const {
  if (modes_ == Modes::stay) return open_child(parent, name, out);
  Fd handle;
  if (const int error = open_inside(parent, name, O_PATH | O_DIRECTORY, handle)) return error;
  if (const int error = chmod_handle(handle.get(), 0700)) return error;
  out.reset(::openat(handle.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return out ? 0 : -errno;
}

int TreeRemover::descend(int parent, const std::string& name) {
  if (levels_.size() >= kMaxDepth) return -ELOOP;
  Fd child;
  const int error = open(parent, name, child);
  if (error) return error;
  struct stat info;
  if (::fstat(child.get(), &info) < 0) return -errno;
  levels_.push_back({name, info.st_dev, info.st_ino, {}});
  current_.emplace(std::move(child));
  return 0;
}

/// Goes back to the parent of the current directory, which must be the one we came from.
int TreeRemover::ascend(Fd& parent) {
  if (levels_.size() == 1) {
    parent.reset(::fcntl(top_, F_DUPFD_CLOEXEC, 3));
    return parent ? 0 : -errno;
  }
  const Level& expected = levels_[levels_.size() - 2];
  struct stat info;
  parent.reset(::openat(current_->fd(), "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!parent || ::fstat(parent.get(), &info) < 0) return -errno;
  return info.st_dev == expected.device && info.st_ino == expected.inode ? 0 : -EAGAIN;
}

int TreeRemover::step() {
  for (unsigned work = 0; work < kStepEntries;) {
    Level& level = levels_.back();
    if (!level.subdirectories.empty()) {
      const std::string name = std::move(level.subdirectories.back());
      level.subdirectories.pop_back();
      ++work;
      // Empty ones need no visit.
      if (::unlinkat(current_->fd(), name.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT) continue;
      if (errno != ENOTEMPTY && errno != EEXIST) {
        if (errno != ENOTDIR) return -errno;
        if (::unlinkat(current_->fd(), name.c_str(), 0) < 0 && errno != ENOENT) return -errno;
        continue;
      }
      const int parent = current_->fd();
      if (const int error = descend(parent, name); error && error != -ENOENT) return error;
      continue;
    }
    bool empty = true;
    if (const int error = remove_files(level, work, empty)) return error;
    if (!empty) continue;
    Fd parent;
    if (const int error = ascend(parent)) return error;
    if (::unlinkat(parent.get(), level.name.c_str(), AT_REMOVEDIR) < 0) {
      // Filled again by somebody else: look again, as long as that goes on within bounds.
      if ((errno == ENOTEMPTY || errno == EEXIST) && ++refilled_ <= kSwapRetries) {
        if (const int error = rewind()) return error;
        ++work;
        continue;
      }
      if (errno != ENOENT) return -errno;
    }
    ++work;
    levels_.pop_back();
    if (levels_.empty()) return 0;
    current_.emplace(std::move(parent));
  }
  return 1;
}

/// Removes what one read of the directory shows and is no directory. `empty`: it showed nothing.
int TreeRemover::remove_files(Level& level, unsigned& work, bool& empty) {
  std::vector<DirectoryReader::Name> found;
  // From the start each time: what is left are the entries not yet removed.
  if (const int error = rewind()) return error;
  const int more = current_->read(found);
  if (more < 0) return more;
  empty = found.empty();
  for (auto& entry : found) {
    ++work;
    if (entry.type == DT_DIR) {
      level.subdirectories.push_back(std::move(entry.name));
      continue;
    }
    if (::unlinkat(current_->fd(), entry.name.c_str(), 0) == 0 || errno == ENOENT) continue;
    if (errno != EISDIR) return -errno;
    level.subdirectories.push_back(std::move(entry.name));
  }
  return 0;
}

int TreeRemover::rewind() { return ::lseek(current_->fd(), 0, SEEK_SET) < 0 ? -errno : 0; }

}  // namespace svm::agent
