// Removing a file or a tree: by descriptors, without recursion, a bounded number of entries a turn, never across a mount.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <optional>

#include "agent/entries.hpp"
#include "agent/lookup.hpp"

namespace svm::agent {
namespace {

constexpr size_t kMaxDepth = 10'000;

class Remove final : public Stream {
 public:
  Remove(Loop& loop, uint32_t id, protocol::RemoveRequest&& request) : Stream(loop, id), request_(std::move(request)) {}

  void start() override {
    protocol::Result why;
    const auto who = find_identity(loop_.context(), request_.user, why);
    if (!who) return finish(why);
    who_ = *who;
    act([this] { return begin(); });
  }

  bool on_turn() override {
    act([this] { return proceed(); });
    return !finished();
  }

 private:
  /// A directory on the way down: enough to find back up and to know that it is the same one.
  struct Level {
    std::string name;  // in its parent
    dev_t device;
    ino_t inode;
    std::vector<std::string> subdirectories;  // seen and still to be removed
  };

  template <class Step>
  void act(Step step) {
    int error;
    {
      const ActAs as(loop_.context().rights, who_);
      error = as.error() ? -as.error() : step();
    }
    if (error == -EXDEV) return finish(failure(Code::conflict, EXDEV, "remove", request_.path, "a file system is mounted below it"));
    if (error) finish(path_failure(error, "remove", request_.path));
  }

  int begin() {
    const Root& root = loop_.context().root;
    std::string path;
    if (const int error = root.absolute(request_.path, path)) return error;
    if (path.find_last_not_of('/') == std::string::npos) return -EBUSY;
    if (const int error = root.parent(path, top_, leaf_)) return error;
    if (is_special_fs(top_.get())) return kSpecialParent;
    struct stat info;
    if (::fstatat(top_.get(), leaf_.c_str(), &info, AT_SYMLINK_NOFOLLOW) < 0) return -errno;
    if (!S_ISDIR(info.st_mode)) return remove_entry(top_.get(), leaf_, 0);
    if (root.is_root(info)) return -EBUSY;
    if (!request_.recursive) return remove_entry(top_.get(), leaf_, AT_REMOVEDIR);
    // Most trees that are asked for are empty or small; the rest is done in turns.
    if (const int error = descend(top_.get(), leaf_)) return error;
    want_turn();
    return 0;
  }

  int remove_entry(int directory, const std::string& name, int flags) {
    if (::unlinkat(directory, name.c_str(), flags) < 0) return -errno;
    finish_ok();
    return 0;
  }

  int descend(int parent, const std::string& name) {
    if (levels_.size() >= kMaxDepth) return -ELOOP;
    Fd child;
    const int error = open_child(parent, name, child);
    if (error) return error;
    struct stat info;
    if (::fstat(child.get(), &info) < 0) return -errno;
    levels_.push_back({name, info.st_dev, info.st_ino, {}});
    current_.emplace(std::move(child));
    return 0;
  }

  /// Goes back to the parent of the current directory, which must be the one we came from.
  int ascend(Fd& parent) {
    if (levels_.size() == 1) {
      parent.reset(::fcntl(top_.get(), F_DUPFD_CLOEXEC, 3));
      return parent ? 0 : -errno;
    }
    const Level& expected = levels_[levels_.size() - 2];
    struct stat info;
    parent.reset(::openat(current_->fd(), "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!parent || ::fstat(parent.get(), &info) < 0) return -errno;
    return info.st_dev == expected.device && info.st_ino == expected.inode ? 0 : -EAGAIN;
  }

  int proceed() {
    for (unsigned work = 0; work < kStepEntries && !finished();) {
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
      if (levels_.empty()) {
        finish_ok();
        return 0;
      }
      current_.emplace(std::move(parent));
    }
    return 0;
  }

  /// Removes what one read of the directory shows and is no directory. `empty`: it showed nothing.
  int remove_files(Level& level, unsigned& work, bool& empty) {
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

  int rewind() { return ::lseek(current_->fd(), 0, SEEK_SET) < 0 ? -errno : 0; }

  protocol::RemoveRequest request_;
  Identity who_;
  Fd top_;            // the parent of what is removed
  std::string leaf_;
  std::vector<Level> levels_;
  std::optional<DirectoryReader> current_;  // of levels_.back()
  int refilled_ = 0;
};

}  // namespace

std::unique_ptr<Stream> make_remove(Loop& loop, uint32_t id, protocol::RemoveRequest&& request) {
  return std::make_unique<Remove>(loop, id, std::move(request));
}

}  // namespace svm::agent
