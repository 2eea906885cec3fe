// Copying a file or a tree inside the sandbox: to a temporary name beside the new path, which it gets when all of it is there. By
// descriptors, without recursion, a bounded piece of work a turn; no link is followed and no mount entered on the way.
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <optional>

#include "agent/copy_content.hpp"
#include "agent/lookup.hpp"
#include "agent/temporary.hpp"
#include "agent/tree_remover.hpp"

namespace svm::agent {
namespace {

constexpr int64_t kTurnBytes = 4 * 1024 * 1024;  // copied in one turn
constexpr size_t kMaxDepth = 10'000;             // directories in one another
constexpr size_t kMaxPending = 100'000;          // directories found and not yet copied
constexpr unsigned kFinalSteps = 256;            // of removing what a host that went away left half done
// Whose copy has another owner keeps no setuid and setgid: they would lend out that one's rights.
constexpr mode_t kFileModes = 0777, kDirectoryModes = 01777;
// Beside those of path.hpp.
constexpr int kTooManyPending = -20001, kTooDeep = -20002;

class Copy final : public Stream {
 public:
  Copy(Loop& loop, uint32_t id, protocol::CopyRequest&& request) : Stream(loop, id), request_(std::move(request)) {}
  ~Copy() override {
    if (temporary_.empty()) return;
    if (!is_tree_) {
      remove_temporary(loop_.context().rights, who_, to_.get(), temporary_);
      return;
    }
    const ActAs as(loop_.context().rights, who_);
    if (as.error() || (!removing_ && remover_.start(to_.get(), temporary_) != 0)) return;
    for (unsigned i = 0; i < kFinalSteps && remover_.step() > 0; ++i) {
    }
  }

  void start() override {
    protocol::Result why;
    const auto who = find_identity(loop_.context(), request_.user, why);
    if (!who) return finish(why);
    who_ = *who;
    act([this] { return begin(); });
    if (!finished()) want_turn();
  }

  bool on_turn() override {
    if (removing_)
      clear();
    else
      act([this] { return proceed(); });
    return !finished();
  }

  void on_cancel() override {
    if (!removing_) fail(failure(Code::cancelled, 0, "cancelled", {}, {}));
  }

 private:
  /// A directory on the way down, and its copy: enough to find back up and to know that they are the same ones.
  struct Level {
    std::string name;  // in its parent
    struct stat from, to;
    std::vector<std::string> subdirectories;  // still to be copied
  };

  template <class Step>
  void act(Step step) {
    const int error = act_as(loop_.context().rights, who_, step);
    if (error == 0) return;
    if (error == kTooManyPending) return fail(failure(Code::limit, 0, "copy", where(), "more than " + std::to_string(kMaxPending) + " directories to look into"));
    if (error == kTooDeep) return fail(failure(Code::limit, 0, "copy", request_.from, "more than " + std::to_string(kMaxDepth) + " directories in one another"));
    if (error == -EAGAIN || !about_target_) return fail(path_failure(error, "copy", where()));
    fail(path_failure(error, "copy to", request_.to));
  }

  /// Ends with `why` when nothing is left of the copy.
  void fail(const protocol::Result& why) {
    content_ = {};
    if (temporary_.empty()) return finish(why);
    if (!is_tree_) {
      remove_temporary(loop_.context().rights, who_, to_.get(), temporary_);
      return finish(why);
    }
    why_ = why;
    from_directory_.reset();
    to_directory_.reset();
    removing_ = true;
    const int error = act_as(loop_.context().rights, who_, [this] { return remover_.start(to_.get(), temporary_); });
    if (error) return finish_uncleared(error);
    want_turn();
  }

  void clear() {
    const int left = act_as(loop_.context().rights, who_, [this] { return remover_.step(); });
    if (left < 0) return finish_uncleared(left);
    if (left > 0) return;
    temporary_.clear();
    finish(why_);
  }

  void finish_uncleared(int error) {
    const std::string name = std::exchange(temporary_, {});
    if (error == -ENOENT) return finish(why_);  // the sandbox removed it itself
    const std::string tail = "; " + name + " beside the new path could not be removed: " + error_text(-error);
    why_.message = why_.message.substr(0, kMaxMessageBytes - tail.size()) + tail;
    finish(why_);
  }

  /// What is being copied, for errors.
  std::string where() const {
    std::string path = request_.from;
    for (size_t i = 1; i < levels_.size(); ++i) path += '/' + levels_[i].name;
    if (!entry_.empty()) path += '/' + entry_;
    return path;
  }

  int begin() {
    const Root& root = loop_.context().root;
    struct stat info, there;
    std::string path, leaf;
    if (const int error = root.absolute(request_.from, path)) return error;
    if (const int error = root.parent(path, from_, leaf)) return error;
    if (is_special_fs(from_.get())) return kSpecialSource;
    if (::fstatat(from_.get(), leaf.c_str(), &info, AT_SYMLINK_NOFOLLOW) < 0) return -errno;
    is_tree_ = S_ISDIR(info.st_mode);
    if (is_tree_ && !request_.recursive) return -EISDIR;
    if (!is_tree_ && !S_ISREG(info.st_mode) && !S_ISLNK(info.st_mode)) return kNotContent;

    about_target_ = true;
    if (is_tree_)
      if (const int error = refuse_inside(info)) return error;
    if (const int error = root.writable_parent(request_.to, true, to_, leaf_)) return error;
    if (::fstatat(to_.get(), leaf_.c_str(), &there, AT_SYMLINK_NOFOLLOW) == 0) {
      if (same_file(info, there)) return kSameFile;
      // The rename decides in the end; what cannot succeed is not begun.
      if (!request_.replace) return -EEXIST;
      if (S_ISDIR(there.st_mode) != is_tree_) return is_tree_ ? -ENOTDIR : -EISDIR;
      if (is_tree_ && has_entries()) return -ENOTEMPTY;
    } else if (errno != ENOENT) {
      return -errno;
    }
    if (is_tree_) return begin_tree(leaf, info);
    if (S_ISLNK(info.st_mode)) return copy_top_link(leaf);
    about_target_ = false;
    Fd from(::openat(from_.get(), leaf.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
    if (!from) return errno == ELOOP || errno == ENXIO ? -EAGAIN : -errno;
    if (::fstat(from.get(), &info) < 0) return -errno;
    if (!S_ISREG(info.st_mode)) return -EAGAIN;
    if (is_special_fs(from.get())) return kSpecialSource;
    about_target_ = true;
    Fd to;
    if (const int error = make_temporary(to_.get(), O_WRONLY, temporary_, to)) return error;
    content_.start(std::move(from), std::move(to), info.st_size, info.st_mode & kFileModes);
    return 0;
  }

  /// Whether the new path would be below the directory that is copied. Where its parents are missing, the nearest one that is there counts.
  int refuse_inside(const struct stat& top) const {
    const Root& root = loop_.context().root;
    std::string path;
    Fd at;
    if (const int error = root.absolute(request_.to, path)) return error;
    do {
      const size_t last = path.find_last_not_of('/');
      if (last == std::string::npos) return kBadLeaf;
      path.resize(path.find_last_of('/', last) + 1);
      const int error = root.open(path, O_PATH | O_DIRECTORY, at);
      if (error && error != -ENOENT) return error;
    } while (!at);
    for (size_t depth = 0; depth < kMaxDepth; ++depth) {
      struct stat here, above;
      if (::fstat(at.get(), &here) < 0) return -errno;
      if (same_file(here, top)) return kInsideItself;
      Fd up(::openat(at.get(), "..", O_PATH | O_DIRECTORY | O_CLOEXEC));
      // A directory that the user may not search hides where it is: then descend() finds out.
      if (!up || ::fstat(up.get(), &above) < 0 || same_file(here, above)) return 0;
      at = std::move(up);
    }
    return 0;
  }

  /// Of the directory at the new path. One that may not be read is left to the rename.
  bool has_entries() const {
    Fd there;
    if (open_child(to_.get(), leaf_, there) != 0) return false;
    std::vector<DirectoryReader::Name> found;
    return DirectoryReader(std::move(there)).read(found) > 0 && !found.empty();
  }

  int copy_top_link(const std::string& leaf) {
    std::string text;
    if (const int error = read_link(from_.get(), leaf, text)) return about_target_ = false, error;
    if (const int error = place_symlink(to_.get(), text, leaf_, request_.replace)) return error;
    finish_ok();
    return 0;
  }

  static int read_link(int directory, const std::string& name, std::string& text) {
    char buffer[protocol::kMaxPathBytes + 1];
    const ssize_t size = ::readlinkat(directory, name.c_str(), buffer, sizeof buffer);
    if (size < 0) return errno == EINVAL ? -EAGAIN : -errno;
    if (size == 0 || size > static_cast<ssize_t>(protocol::kMaxPathBytes)) return -ENAMETOOLONG;
    text.assign(buffer, static_cast<size_t>(size));
    return 0;
  }

  int begin_tree(const std::string& leaf, const struct stat& seen) {
    about_target_ = false;
    Fd from(::openat(from_.get(), leaf.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    Level level;
    if (!from) return errno == ELOOP || errno == ENOTDIR ? -EAGAIN : -errno;
    if (::fstat(from.get(), &level.from) < 0) return -errno;
    if (!same_file(seen, level.from)) return -EAGAIN;
    if (is_special_fs(from.get())) return kSpecialSource;
    about_target_ = true;
    if (const int error = make_temporary_directory(to_.get(), temporary_, to_directory_)) return error;
    if (::fstat(to_directory_.get(), &level.to) < 0) return -errno;
    about_target_ = false;
    levels_.push_back(std::move(level));
    from_directory_.emplace(std::move(from));
    return 0;
  }

  int proceed() {
    int64_t bytes = kTurnBytes;
    for (unsigned work = 0; work < kStepEntries && bytes > 0 && !finished(); ++work) {
      if (const int error = proceed_once(bytes)) return error;
    }
    return 0;
  }

  int proceed_once(int64_t& bytes) {
    if (content_.active()) {
      Connection& connection = loop_.connection();
      const int64_t before = bytes;
      const int left = content_.step(bytes, connection.data(), protocol::kMaxData);
      if (before != bytes) connection.touched(protocol::kMaxData);
      if (left == 0 && !is_tree_) return commit();
      return left < 0 ? left : 0;
    }
    if (!names_.empty()) {
      entry_ = std::move(names_.back());
      names_.pop_back();
      return copy_entry();
    }
    entry_.clear();
    if (!read_all_) {
      std::vector<DirectoryReader::Name> found;
      const int more = from_directory_->read(found);
      if (more < 0) return more;
      for (auto& name : found) names_.push_back(std::move(name.name));
      read_all_ = more == 0;
      return 0;
    }
    std::vector<std::string>& below = levels_.back().subdirectories;
    if (below.empty()) return ascend();
    entry_ = std::move(below.back());
    below.pop_back();
    --pending_;
    return descend();
  }

  /// Copies entry_, or keeps it for later if it is a directory.
  int copy_entry() {
    struct stat info;
    const int directory = from_directory_->fd();
    if (::fstatat(directory, entry_.c_str(), &info, AT_SYMLINK_NOFOLLOW) < 0) return errno == ENOENT ? 0 : -errno;  // gone meanwhile
    if (S_ISDIR(info.st_mode)) {
      if (++pending_ > kMaxPending) return kTooManyPending;
      levels_.back().subdirectories.push_back(std::move(entry_));
      return 0;
    }
    if (S_ISLNK(info.st_mode)) {
      std::string text;
      const int error = read_link(directory, entry_, text);
      if (error) return error == -ENOENT ? 0 : error;
      return ::symlinkat(text.c_str(), to_directory_.get(), entry_.c_str()) < 0 ? -errno : 0;
    }
    if (!S_ISREG(info.st_mode)) return kNotContent;
    Fd from;
    const int error = open_inside(directory, entry_, O_RDONLY | O_NONBLOCK | O_NOCTTY, from);
    if (error == -ENOENT) return 0;
    if (error == -EXDEV) return kOtherFileSystem;
    if (error) return error == -ELOOP || error == -ENXIO ? -EAGAIN : error;
    if (::fstat(from.get(), &info) < 0) return -errno;
    if (!S_ISREG(info.st_mode)) return -EAGAIN;
    Fd to(::openat(to_directory_.get(), entry_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!to) return -errno;
    content_.start(std::move(from), std::move(to), info.st_size, info.st_mode & kFileModes);
    return 0;
  }

  /// Into the subdirectory entry_, and into its copy.
  int descend() {
    if (levels_.size() >= kMaxDepth) return kTooDeep;
    Level level;
    Fd from, to;
    const int error = open_child(from_directory_->fd(), entry_, from);
    if (error == -ENOENT) return 0;
    if (error == -EXDEV) return kOtherFileSystem;
    if (error) return error == -ELOOP || error == -ENOTDIR ? -EAGAIN : error;
    if (::fstat(from.get(), &level.from) < 0) return -errno;
    if (same_file(level.from, levels_[0].to)) return kInsideItself;
    if (::mkdirat(to_directory_.get(), entry_.c_str(), 0700) < 0) return -errno;
    if (const int opened = open_child(to_directory_.get(), entry_, to)) return opened;
    if (::fstat(to.get(), &level.to) < 0) return -errno;
    level.name = std::move(entry_);
    entry_.clear();
    levels_.push_back(std::move(level));
    from_directory_.emplace(std::move(from));
    to_directory_ = std::move(to);
    read_all_ = false;
    return 0;
  }

  /// Back to the parents, which must be the ones we came from.
  int ascend() {
    const mode_t mode = levels_.back().from.st_mode & kDirectoryModes;
    if (levels_.size() == 1) return ::fchmod(to_directory_.get(), mode) < 0 ? -errno : commit();
    const Level& expected = levels_[levels_.size() - 2];
    struct stat from_info, to_info;
    Fd from(::openat(from_directory_->fd(), "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!from || ::fstat(from.get(), &from_info) < 0) return -errno;
    Fd to(::openat(to_directory_.get(), "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!to || ::fstat(to.get(), &to_info) < 0) return -errno;
    if (!same_file(from_info, expected.from) || !same_file(to_info, expected.to)) return -EAGAIN;
    if (::fchmod(to_directory_.get(), mode) < 0) return -errno;  // last: it may take the right to make anything in it
    levels_.pop_back();
    from_directory_.emplace(std::move(from));
    to_directory_ = std::move(to);
    return 0;  // read_all_: a parent's names came before its subdirectories
  }

  int commit() {
    about_target_ = true;
    if (::renameat2(to_.get(), temporary_.c_str(), to_.get(), leaf_.c_str(), request_.replace ? 0 : RENAME_NOREPLACE) < 0) return -errno;
    temporary_.clear();
    finish_ok();
    return 0;
  }

  protocol::CopyRequest request_;
  Identity who_;
  Fd from_, to_;  // the parents of what is copied and of the copy
  std::string leaf_, temporary_;  // in to_
  bool is_tree_ = false;
  bool about_target_ = false;  // an error is about the new path
  ContentCopy content_;        // the file that is being copied
  // Of a tree.
  std::vector<Level> levels_;
  std::optional<DirectoryReader> from_directory_;  // of levels_.back()
  Fd to_directory_;
  std::vector<std::string> names_;  // in from_directory_, not yet looked at
  std::string entry_;               // the one that is
  bool read_all_ = false;           // from_directory_ has no more
  size_t pending_ = 0;              // subdirectories of all levels
  // After a failure.
  bool removing_ = false;
  protocol::Result why_;
  TreeRemover remover_{TreeRemover::Modes::open_up};
};

}  // namespace

std::unique_ptr<Stream> make_copy(Loop& loop, uint32_t id, protocol::CopyRequest&& request) {
  return std::make_unique<Copy>(loop, id, std::move(request));
}

}  // namespace svm::agent
