// Paths inside the sandbox. Every one is resolved by openat2 below one root descriptor, to a handle; a string that was
// checked is never used again in its place. Functions return 0, a negative errno, or one of the refusals below.
#pragma once
#include <sys/stat.h>

#include <string>
#include <string_view>

#include "core/fd.hpp"
#include "protocol/message.hpp"

namespace svm::agent {

inline constexpr int kResolveRetries = 128;  // openat2 answers EAGAIN when a rename or mount raced a walk through ".."
inline constexpr int kSwapRetries = 32;      // a name that stood for another file at the second look
inline constexpr int kMaxLinkHops = 40;      // as the kernel's

// Refusals that no errno says.
inline constexpr int kNotContent = -10001;   // a FIFO, socket or device
inline constexpr int kProcessFile = -10002;  // below /proc/PID: what it shows depends on who asks, and the agent would be asking
inline constexpr int kBadLeaf = -10003;      // the path ends in "." or "..", or is "/"
inline constexpr int kSpecialParent = -10004;  // nothing is created in /proc or /sys
inline constexpr int kNotSocket = -10005;    // the path is of another kind of file
inline constexpr int kSpecialSource = -10006;   // what /proc and /sys show is not copied
inline constexpr int kInsideItself = -10007;    // a directory is copied to a place below it
inline constexpr int kSameFile = -10008;        // what is copied is what it would replace
inline constexpr int kOtherFileSystem = -10009; // a mount point in a tree

/// The Result for what a function of this file returned.
protocol::Result path_failure(int error, std::string_view verb, std::string_view path);

class Root {
 public:
  /// `root`: an O_PATH directory descriptor, taken over. `workdir`: where relative paths start.
  Root(Fd root, std::string workdir) : root_(std::move(root)), workdir_(std::move(workdir)) {}

  /// Makes a request's path absolute. -EINVAL: empty or with a NUL; -ENAMETOOLONG: over kMaxPathBytes.
  int absolute(std::string_view path, std::string& out) const;

  /// openat2 below the root, magic links refused.
  int open(const std::string& path, int flags, Fd& out) const noexcept;
  /// An O_PATH handle and what it is.
  int handle(const std::string& path, bool follow, Fd& out, struct stat& info) const noexcept;
  /// The directory that holds (or would hold) the last component, and that component.
  int parent(const std::string& path, Fd& directory, std::string& leaf) const;
  /// parent() of a request's path, for making or replacing something there: made where it is missing and `make` says so.
  int writable_parent(const std::string& request_path, bool make, Fd& directory, std::string& leaf) const;
  /// parent(), going through symbolic links at the end of the path. `info.st_mode` is 0 where nothing exists.
  int target(std::string path, Fd& directory, std::string& leaf, struct stat& info) const;
  /// Opens a regular file (O_NONBLOCK, so that what was swapped in cannot hold us) or, for reading, a directory.
  int content(const std::string& path, int flags, Fd& out, struct stat& info) const;
  /// Makes the directories of `path` that are missing (0755), one descriptor after the other.
  int make_directories(const std::string& path, Fd& out) const;

  bool is_root(const struct stat& info) const noexcept;

 private:
  Fd root_;
  std::string workdir_;
};

/// Opens what is below `directory` as a directory of the same mount, never through a link.
int open_child(int directory, const std::string& name, Fd& out) noexcept;
/// The same for any file: `name` may be several components, none of which may be a link. A FIFO or device is for the caller to avoid.
int open_inside(int directory, const std::string& name, int flags, Fd& out) noexcept;
/// Whether the descriptor is on procfs or sysfs.
bool is_special_fs(int fd) noexcept;
protocol::FileInfo file_info(const struct stat& info) noexcept;
/// The same with a symbolic link's text: of `name` in `directory`, or with an empty name of the O_PATH handle `directory` itself. None
/// on procfs and sysfs: what a link says there depends on who asks, and the agent would be asking. None, too, if it is no link any more.
protocol::FileInfo file_info(const struct stat& info, int directory, const char* name);
bool same_file(const struct stat& a, const struct stat& b) noexcept;

}  // namespace svm::agent
