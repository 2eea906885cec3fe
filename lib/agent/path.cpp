#include "agent/path.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>

#include "agent/failure.hpp"

namespace svm::agent {
namespace {

int open_below(int directory, const char* path, int flags, uint64_t resolve, Fd& out) noexcept {
  open_how how{};
  how.flags = static_cast<decltype(how.flags)>(flags | O_CLOEXEC);
  how.resolve = resolve;
  for (int i = 0; i < kResolveRetries; ++i) {
    const long fd = ::syscall(SYS_openat2, directory, path, &how, sizeof how);
    if (fd >= 0) {
      out.reset(static_cast<int>(fd));
      return 0;
    }
    if (errno != EAGAIN && errno != EINTR) return -errno;
  }
  return -EAGAIN;
}

int stat_fd(int fd, struct stat& info) noexcept { return ::fstat(fd, &info) < 0 ? -errno : 0; }

bool is_procfs(int fd) noexcept {
  struct statfs fs;
  return ::fstatfs(fd, &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC;
}

/// Whether a directory of procfs is a process's, or below one. Only those hold a "task" directory.
bool is_process_directory(int directory) noexcept {
  static constexpr int kDepth = 32;  // procfs is shallower
  Fd at(::openat(directory, ".", O_PATH | O_DIRECTORY | O_CLOEXEC));
  for (int i = 0; i < kDepth && at; ++i) {
    struct stat here, up_info, task;
    if (::fstatat(at.get(), "task", &task, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(task.st_mode)) return true;
    Fd up(::openat(at.get(), "..", O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!up || ::fstat(at.get(), &here) < 0 || ::fstat(up.get(), &up_info) < 0) return true;
    if (here.st_dev != up_info.st_dev || same_file(here, up_info)) return false;  // left procfs at its root
    at = std::move(up);
  }
  return true;
}

}  // namespace

protocol::Result path_failure(int error, std::string_view verb, std::string_view path) {
  switch (error) {
    case kNotContent: return failure(Code::invalid, 0, verb, path, "not a regular file or directory");
    case kProcessFile: return failure(Code::forbidden, 0, verb, path, "files of processes are not served");
    case kBadLeaf: return failure(Code::invalid, 0, verb, path, "the path must end in a name");
    case kSpecialParent: return failure(Code::forbidden, 0, verb, path, "nothing is written below proc or sys");
    case kNotSocket: return failure(Code::invalid, 0, verb, path, "not a socket");
    case kSpecialSource: return failure(Code::forbidden, 0, verb, path, "what proc and sys show is not copied");
    case kInsideItself: return failure(Code::invalid, 0, verb, path, "the new path is inside the directory that is copied");
    case kSameFile: return failure(Code::invalid, 0, verb, path, "it is what is copied");
    case kOtherFileSystem: return failure(Code::invalid, 0, verb, path, "another file system is mounted there");
    case -EAGAIN: return failure(Code::conflict, EAGAIN, verb, path, "the path kept changing");
    case -ELOOP: return failure(Code::invalid, ELOOP, verb, path, "too many symbolic links, or one of the kernel's own");
    case -EXDEV: return failure(Code::invalid, EXDEV, verb, path, "not on the same file system");
    default: return failure(-error, verb, path);
  }
}

int Root::absolute(std::string_view path, std::string& out) const {
  if (path.empty() || path.find('\0') != std::string_view::npos) return -EINVAL;
  if (path[0] == '/') {
    out = path;
  } else {
    out = workdir_;
    if (out.empty() || out.back() != '/') out += '/';
    out += path;
  }
  return out.size() > protocol::kMaxPathBytes ? -ENAMETOOLONG : 0;
}

int Root::open(const std::string& path, int flags, Fd& out) const noexcept {
  return open_below(root_.get(), path.c_str(), flags, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS, out);
}

int Root::handle(const std::string& path, bool follow, Fd& out, struct stat& info) const noexcept {
  if (const int error = open(path, O_PATH | (follow ? 0 : O_NOFOLLOW), out)) return error;
  return stat_fd(out.get(), info);
}

int Root::parent(const std::string& path, Fd& directory, std::string& leaf) const {
  const size_t last = path.find_last_not_of('/');
  if (last == std::string::npos) return kBadLeaf;
  const size_t slash = path.find_last_of('/', last);
  leaf = path.substr(slash + 1, last - slash);
  if (leaf == "." || leaf == "..") return kBadLeaf;
  return open(path.substr(0, slash + 1), O_PATH | O_DIRECTORY, directory);
}

int Root::writable_parent(const std::string& request_path, bool make, Fd& directory, std::string& leaf) const {
  std::string path;
  if (const int error = absolute(request_path, path)) return error;
  int error = parent(path, directory, leaf);
  if (error == -ENOENT && make) {
    path.resize(path.find_last_of('/', path.find_last_not_of('/')) + 1);
    error = make_directories(path, directory);
  }
  if (error == 0 && is_special_fs(directory.get())) return kSpecialParent;
  return error;
}

int Root::target(std::string path, Fd& directory, std::string& leaf, struct stat& info) const {
  for (int hops = 0; hops <= kMaxLinkHops; ++hops) {
    if (const int error = parent(path, directory, leaf)) return error;
    if (::fstatat(directory.get(), leaf.c_str(), &info, AT_SYMLINK_NOFOLLOW) < 0) {
      if (errno != ENOENT) return -errno;
      info.st_mode = 0;
      return 0;
    }
    if (!S_ISLNK(info.st_mode)) return 0;
    // Whose text is the agent's own business there: /proc/self and the magic links.
    if (is_special_fs(directory.get())) return -ELOOP;
    char text[protocol::kMaxPathBytes + 1];
    const ssize_t size = ::readlinkat(directory.get(), leaf.c_str(), text, sizeof text);
    if (size < 0 && errno == EINVAL) continue;  // no longer a link: look again
    if (size < 0) return -errno;
    if (size == 0) return -ENOENT;
    const std::string_view link(text, static_cast<size_t>(size));
    if (link[0] == '/') {
      path = link;
    } else {
      path.erase(path.find_last_of('/', path.find_last_not_of('/')) + 1);
      path += link;
    }
    if (path.size() > protocol::kMaxPathBytes) return -ENAMETOOLONG;
  }
  return -ELOOP;
}

int Root::content(const std::string& path, int flags, Fd& out, struct stat& info) const {
  for (int i = 0; i < kSwapRetries; ++i) {
    Fd pinned;
    if (const int error = handle(path, true, pinned, info)) return error;
    if (!S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode)) return kNotContent;
    if (S_ISDIR(info.st_mode)) {
      if ((flags & O_ACCMODE) != O_RDONLY) return -EISDIR;
      if (is_procfs(pinned.get()) && is_process_directory(pinned.get())) return kProcessFile;
      out.reset(::openat(pinned.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
      return out ? 0 : -errno;
    }
    if (is_procfs(pinned.get())) {
      Fd directory;
      std::string leaf;
      struct stat found;
      if (const int error = target(path, directory, leaf, found)) return error;
      if (!same_file(found, info)) continue;
      if (is_process_directory(directory.get())) return kProcessFile;
      if ((flags & O_ACCMODE) != O_RDONLY) return kSpecialParent;
    }
    if (const int error = open(path, flags | O_NONBLOCK | O_NOCTTY, out)) return error;
    struct stat opened;
    if (const int error = stat_fd(out.get(), opened)) return error;
    // Looked at again, because opening for writing may copy an overlay's file up, which changes its numbers.
    if (const int error = stat_fd(pinned.get(), info)) return error;
    if (same_file(opened, info)) {
      info = opened;
      return 0;
    }
    out.reset();
  }
  return -EAGAIN;
}

int Root::make_directories(const std::string& path, Fd& out) const {
  // The longest part that exists, then one component after the other below its descriptor.
  std::string existing = path;
  int error;
  while ((error = open(existing.empty() ? "/" : existing, O_PATH | O_DIRECTORY, out)) == -ENOENT && !existing.empty()) {
    const size_t last = existing.find_last_not_of('/');
    existing.resize(last == std::string::npos ? 0 : existing.find_last_of('/', last));
  }
  if (error) return error;
  std::string_view rest = std::string_view(path).substr(existing.size());
  while (!rest.empty()) {
    const size_t slash = rest.find('/');
    const std::string name(rest.substr(0, slash));
    rest.remove_prefix(slash == std::string_view::npos ? rest.size() : slash + 1);
    if (name.empty() || name == ".") continue;
    if (name == "..") return -ENOENT;  // of a directory that was not there
    if (is_special_fs(out.get())) return kSpecialParent;
    if (::mkdirat(out.get(), name.c_str(), 0755) < 0 && errno != EEXIST) return -errno;
    Fd next;
    if (const int open_error = open_child(out.get(), name, next)) return open_error;
    out = std::move(next);
  }
  return 0;
}

bool Root::is_root(const struct stat& info) const noexcept {
  struct stat root;
  return ::fstat(root_.get(), &root) < 0 || same_file(root, info);
}

bool same_file(const struct stat& a, const struct stat& b) noexcept { return a.st_dev == b.st_dev && a.st_ino == b.st_ino; }

int open_child(int directory, const std::string& name, Fd& out) noexcept { return open_inside(directory, name, O_RDONLY | O_DIRECTORY, out); }

int open_inside(int directory, const std::string& name, int flags, Fd& out) noexcept {
  return open_below(directory, name.c_str(), flags | O_NOFOLLOW, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV, out);
}

bool is_special_fs(int fd) noexcept {
  struct statfs fs;
  return ::fstatfs(fd, &fs) < 0 || fs.f_type == PROC_SUPER_MAGIC || fs.f_type == SYSFS_MAGIC;
}

protocol::FileInfo file_info(const struct stat& info) noexcept {
  using protocol::FileType;
  protocol::FileInfo out;
  switch (info.st_mode & S_IFMT) {
    case S_IFREG: out.type = FileType::regular; break;
    case S_IFDIR: out.type = FileType::directory; break;
    case S_IFLNK: out.type = FileType::symlink; break;
    case S_IFIFO: out.type = FileType::fifo; break;
    case S_IFSOCK: out.type = FileType::socket; break;
    case S_IFCHR: out.type = FileType::character; break;
    case S_IFBLK: out.type = FileType::block; break;
    default: break;
  }
  out.mode = info.st_mode & 07777;
  out.size = static_cast<uint64_t>(info.st_size);
  out.inode = info.st_ino;
  out.mtime_ns = info.st_mtim.tv_sec * 1'000'000'000 + info.st_mtim.tv_nsec;
  out.uid = info.st_uid;
  out.gid = info.st_gid;
  out.nlink = info.st_nlink;
  return out;
}

protocol::FileInfo file_info(const struct stat& info, int directory, const char* name) {
  protocol::FileInfo out = file_info(info);
  if (out.type != protocol::FileType::symlink || is_special_fs(directory)) return out;
  char text[protocol::kMaxPathBytes + 1];
  const ssize_t size = ::readlinkat(directory, name, text, sizeof text);
  if (size > 0 && size <= static_cast<ssize_t>(protocol::kMaxPathBytes)) out.target.assign(text, static_cast<size_t>(size));
  return out;
}

}  // namespace svm::agent
