// What changes below a path, told by inotify. One kernel queue a stream: what the host does not take stays there, and when it is full
// the kernel says so, which is told as an event like any other.
//
// A directory that appears is watched first and read then: what was made in it before is found by reading, what is made later is told
// by the kernel, and what is made in between may be told twice. No descriptor of a watched directory is kept: the kernel tells the
// end of a directory only when nobody holds it.
#include <dirent.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>
#include <optional>
#include <unordered_map>

#include "agent/entries.hpp"
#include "agent/lookup.hpp"
#include "agent/proc_self.hpp"
#include "core/clock.hpp"

namespace svm::agent {
namespace {

constexpr size_t kMaxWatchStreams = 16;       // of one sandbox
constexpr size_t kMaxWatches = 8'192;         // directories of one stream
constexpr size_t kMaxAllWatches = 16'384;     // of one sandbox
constexpr size_t kMaxQueuedBytes = 128 * 1024;  // events taken from the kernel and not sent
constexpr int64_t kPairUs = 10'000;           // how long the second half of a rename may be missing
constexpr int kReads = 4;                     // of the kernel's queue in one round
constexpr uint32_t kChanges = IN_CREATE | IN_CLOSE_WRITE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ATTRIB | IN_EXCL_UNLINK;
constexpr uint32_t kTopChanges = kChanges | IN_DELETE_SELF | IN_MOVE_SELF;

class WatchStream final : public Stream, private Ready {
 public:
  WatchStream(Loop& loop, uint32_t id, protocol::WatchRequest&& request) : Stream(loop, id), request_(std::move(request)) {}
  ~WatchStream() override {
    forget_all();
    if (counted_) --loop_.file_watches().streams;
  }

  void start() override {
    protocol::Result why;
    const auto who = find_identity(loop_.context(), request_.user, why);
    if (!who) return finish(why);
    who_ = *who;
    if (loop_.file_watches().streams >= kMaxWatchStreams) return limit("watches of one sandbox", kMaxWatchStreams);
    ++loop_.file_watches().streams;
    counted_ = true;
    act([this] { return begin(); });
    if (!finished()) want_turn();
  }

  void on_room() override {
    send();
    if (!finished() && can_scan()) want_turn();
  }

  bool on_turn() override {
    act([this] { return scan(); });
    if (finished()) return false;
    send();
    return !finished() && can_scan();
  }

  void on_deadline() override {
    set_deadline(kNoDeadline);
    end_move();
    send();
  }

 private:
  struct Directory {
    std::string path;   // relative to the top; "" the top
    bool report;        // what is in it is news
  };
  struct Move {
    uint32_t cookie;
    std::string path;   // relative
    bool is_directory;
  };

  template <class Step>
  void act(Step step) {
    const int error = act_as(loop_.context().rights, who_, step);
    if (error && !finished()) finish(path_failure(error, "watch", request_.path));
  }

  void limit(const char* what, size_t most) {
    finish(failure(Code::limit, 0, "watch", request_.path, "more than " + std::to_string(most) + ' ' + what));
  }

  int begin() {
    const Root& root = loop_.context().root;
    Fd top;
    struct stat info;
    if (const int error = root.absolute(request_.path, base_)) return error;
    if (const int error = root.handle(base_, true, top, info)) return error;
    if (!S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode)) return kNotContent;
    if (is_special_fs(top.get())) return kSpecialParent;
    if (!have_proc()) return -ENOSYS;
    is_directory_ = S_ISDIR(info.st_mode);
    device_ = info.st_dev;
    inode_ = info.st_ino;
    while (!base_.empty() && base_.back() == '/') base_.pop_back();
    return open_queue();
  }

  /// A fresh kernel queue with the top in it; the rest of the tree follows by scan().
  int open_queue() {
    watch_.stop();
    forget_all();
    queue_.reset(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
    if (!queue_ && errno == EMFILE) {
      finish(failure(Code::limit, EMFILE, "watch", request_.path, "no more inotify instances (its share of fs.inotify.max_user_instances)"));
      return 0;
    }
    if (!queue_) return -errno;
    pending_.clear();
    reader_.reset();
    starting_ = true;
    Fd top;
    if (const int error = open_top(top)) return error;
    return add(top.get(), {}, kTopChanges);
  }

  /// After an overflow. What is no more at its path ends with the last two events, and after those that were taken before.
  int start_over() {
    const int error = open_queue();
    if (error != -ENOENT) return error;
    queue_event(protocol::WatchKind::overflow, {}, {}, is_directory_);
    gone();
    return 0;
  }

  /// The watched thing, if it is still at its path; -ENOENT otherwise.
  int open_top(Fd& out) const {
    struct stat info;
    const int error = loop_.context().root.handle(base_.empty() ? "/" : base_, true, out, info);
    if (error) return error == -ENOTDIR ? -ENOENT : error;
    return info.st_dev == device_ && info.st_ino == inode_ ? 0 : -ENOENT;
  }

  int add(int fd, const std::string& path, uint32_t mask) {
    if (known_.size() >= kMaxWatches) return limit("directories", kMaxWatches), 0;
    if (loop_.file_watches().directories >= kMaxAllWatches) return limit("directories in all watches of the sandbox", kMaxAllWatches), 0;
    const int number = ::inotify_add_watch(queue_.get(), FdPath(fd).c_str(), mask);
    if (number < 0 && errno == ENOSPC) {
      finish(failure(Code::limit, ENOSPC, "watch", request_.path, "no more inotify watches (its share of fs.inotify.max_user_watches)"));
      return 0;
    }
    if (number < 0) return -errno;
    const auto [place, is_new] = known_.try_emplace(number, path);
    if (is_new) ++loop_.file_watches().directories;
    else place->second = path;
    if (path.empty()) top_ = number;
    return 0;
  }

  void forget(std::unordered_map<int, std::string>::iterator at) {
    known_.erase(at);
    --loop_.file_watches().directories;
  }
  void forget_all() {
    loop_.file_watches().directories -= known_.size();
    known_.clear();
  }

  // --- finding directories

  /// News of a directory's content wait like any other, until there is room for them.
  bool can_scan() const { return (reader_ || !pending_.empty() || starting_) && queued_bytes_ < kMaxQueuedBytes; }

  void look_into(std::string path, bool report) {
    if (pending_.size() + known_.size() >= kMaxWatches) return limit("directories", kMaxWatches);
    pending_.push_back({std::move(path), report});
  }

  int scan() {
    if (starting_ && !reader_ && pending_.empty() && !scanned_top_) {
      scanned_top_ = true;
      if (request_.recursive && is_directory_) pending_.push_back({{}, false});
    }
    for (unsigned work = 0; work < kStepEntries && (reader_ || !pending_.empty()) && can_scan() && !finished(); ++work) {
      if (!reader_) {
        if (const int error = enter()) return error;
        if (finished()) return 0;
        continue;
      }
      std::vector<DirectoryReader::Name> found;
      const int more = reader_->read(found);
      work += static_cast<unsigned>(found.size());
      for (const auto& entry : found) look(entry);
      if (more <= 0) reader_.reset();  // also a directory that went away
    }
    if (reader_ || !pending_.empty() || !starting_ || finished()) return 0;
    starting_ = false;
    scanned_top_ = false;
    queue_event(overflowed_ ? protocol::WatchKind::overflow : protocol::WatchKind::watching, {}, {}, is_directory_);
    overflowed_ = false;
    return watch_.start(loop_, queue_.get(), EPOLLIN, *this, 0);
  }

  int enter() {
    current_ = std::move(pending_.front());
    pending_.pop_front();
    Fd top, directory;
    if (const int error = open_top(top)) return error == -ENOENT ? (gone(), 0) : error;
    int error = 0;
    if (current_.path.empty()) {
      directory.reset(::openat(top.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
      if (!directory) error = -errno;
    } else {
      error = open_child(top.get(), current_.path, directory);
      if (error == 0) error = add(directory.get(), current_.path, kChanges);
    }
    // Gone again, replaced, another file system, or closed to the user: nothing in it is theirs to see.
    if (error == -ENOENT || error == -ENOTDIR || error == -ELOOP || error == -EXDEV || error == -EACCES || error == -ENAMETOOLONG) return 0;
    if (error || finished()) return error;
    reader_.emplace(std::move(directory));
    return 0;
  }

  void look(const DirectoryReader::Name& entry) {
    bool is_directory = entry.type == DT_DIR;
    if (entry.type == DT_UNKNOWN) {
      struct stat info;
      is_directory = ::fstatat(reader_->fd(), entry.name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(info.st_mode);
    }
    if (!is_directory && !current_.report) return;
    std::string path = current_.path.empty() ? entry.name : current_.path + '/' + entry.name;
    if (current_.report) queue_event(protocol::WatchKind::created, path, {}, is_directory);
    if (is_directory) look_into(std::move(path), current_.report);
  }

  // --- what the kernel says

  void on_ready(int, uint32_t) override {
    for (int reads = 0; reads < kReads && !finished() && !ended_ && queued_bytes_ < kMaxQueuedBytes; ++reads) {
      alignas(inotify_event) char buffer[16 * 1024];
      const ssize_t n = ::read(queue_.get(), buffer, sizeof buffer);
      if (n <= 0) break;
      for (ssize_t at = 0; at < n && !finished() && !ended_;) {
        inotify_event event;
        std::memcpy(&event, buffer + at, sizeof event);
        const char* name = buffer + at + sizeof event;
        at += static_cast<ssize_t>(sizeof event + event.len);
        if (event.mask & IN_Q_OVERFLOW) {
          // Directories that were made meanwhile are unknown: everything is looked for anew, and only then is it told, so that
          // whoever looks after that misses nothing.
          move_.reset();
          overflowed_ = true;
          act([this] { return start_over(); });
          if (!finished()) want_turn();
          return;
        }
        take(event, std::string(name, ::strnlen(name, event.len)));
      }
    }
    send();
    if (!finished() && can_scan()) want_turn();
  }

  void take(const inotify_event& event, const std::string& name) {
    const auto known = known_.find(event.wd);
    if (known == known_.end()) return;
    if (event.mask & IN_IGNORED) {
      const bool was_top = event.wd == top_;
      forget(known);
      if (was_top) gone();
      return;
    }
    const bool is_top = event.wd == top_ && name.empty();
    if (is_top && (event.mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT))) return gone();
    if (name.empty() && !is_top) return;  // told by the directory above
    const bool is_directory = (event.mask & IN_ISDIR) != 0;
    const std::string& parent = known->second;
    const std::string path = name.empty() ? parent : parent.empty() ? name : parent + '/' + name;
    if (event.mask & IN_MOVED_FROM) {
      end_move();
      move_ = Move{event.cookie, path, is_directory};
      set_deadline(monotonic_us() + kPairUs);
    } else if (event.mask & IN_MOVED_TO) {
      if (move_ && move_->cookie == event.cookie) {
        queue_event(protocol::WatchKind::renamed, move_->path, path, is_directory);
        if (is_directory) rename_below(move_->path, path);
        move_.reset();
        set_deadline(kNoDeadline);
      } else {
        appeared(path, is_directory);
      }
    } else if (event.mask & IN_CREATE) {
      appeared(path, is_directory);
    } else if (event.mask & IN_CLOSE_WRITE) {
      queue_event(protocol::WatchKind::modified, path, {}, is_directory);
    } else if (event.mask & IN_DELETE) {
      queue_event(protocol::WatchKind::removed, path, {}, is_directory);
    } else if (event.mask & IN_ATTRIB) {
      queue_event(protocol::WatchKind::attributes, path, {}, is_directory);
    }
  }

  void appeared(const std::string& path, bool is_directory) {
    queue_event(protocol::WatchKind::created, path, {}, is_directory);
    if (is_directory && request_.recursive) look_into(path, true);
  }

  /// A name that left, and came nowhere that we look.
  void end_move() {
    if (!move_) return;
    queue_event(protocol::WatchKind::removed, move_->path, {}, move_->is_directory);
    if (move_->is_directory) {
      const std::string path = move_->path;
      for (auto at = known_.begin(); at != known_.end();) {
        const auto next = std::next(at);
        if (is_within(at->second, path)) {
          (void)::inotify_rm_watch(queue_.get(), at->first);
          forget(at);
        }
        at = next;
      }
    }
    move_.reset();
    set_deadline(kNoDeadline);
  }

  static bool is_within(const std::string& path, const std::string& directory) {
    return path == directory || (path.size() > directory.size() && path.starts_with(directory) && path[directory.size()] == '/');
  }

  void rename_below(const std::string& from, const std::string& to) {
    for (auto& [number, path] : known_)
      if (is_within(path, from)) path = to + path.substr(from.size());
    for (Directory& directory : pending_)
      if (is_within(directory.path, from)) directory.path = to + directory.path.substr(from.size());
  }

  /// What was watched is no more at its path: the last event.
  void gone() {
    if (ended_) return;
    end_move();
    queue_event(protocol::WatchKind::removed, {}, {}, is_directory_);
    ended_ = true;
    starting_ = false;
    pending_.clear();
    reader_.reset();
    watch_.stop();
  }

  // --- to the host

  std::string absolute(const std::string& path) const {
    if (path.empty()) return base_.empty() ? "/" : base_;
    return base_ + '/' + path;
  }

  void queue_event(protocol::WatchKind kind, const std::string& path, const std::string& to, bool is_directory) {
    protocol::WatchEvent event{kind, is_directory, absolute(path), kind == protocol::WatchKind::renamed ? absolute(to) : std::string()};
    if (event.path.size() > protocol::kMaxPathBytes || event.to.size() > protocol::kMaxPathBytes) return;  // no request could name it
    std::string encoded;
    protocol::encode(encoded, event);
    queued_bytes_ += encoded.size();
    events_.push_back(std::move(encoded));
  }

  void send() {
    if (finished()) return;
    Connection& connection = loop_.connection();
    while (!events_.empty() && !connection.congested()) {
      // Whole events only: one is never cut between two frames.
      const size_t room = static_cast<size_t>(std::min<uint64_t>(credit(), protocol::kMaxData));
      size_t size = 0;
      while (!events_.empty() && size + events_.front().size() <= room) {
        std::memcpy(connection.data() + size, events_.front().data(), events_.front().size());
        size += events_.front().size();
        events_.pop_front();
      }
      if (size == 0) break;
      queued_bytes_ -= size;
      send_data(protocol::DataKind::event, size);
    }
    if (ended_ && events_.empty()) return finish_ok();
    // Not read while there is no room: the kernel's queue is the bound, and it says when it was too small.
    if (!ended_ && !starting_)
      if (const int error = watch_.set(queued_bytes_ < kMaxQueuedBytes ? EPOLLIN : 0u)) finish(failure(-error, "watch", request_.path));
  }

  protocol::WatchRequest request_;
  Identity who_;
  std::string base_;            // absolute, without a slash at its end
  dev_t device_ = 0;
  ino_t inode_ = 0;
  bool is_directory_ = false, counted_ = false;
  bool starting_ = false, scanned_top_ = false, overflowed_ = false, ended_ = false;
  std::unordered_map<int, std::string> known_;  // the kernel's number of each directory, and its path
  int top_ = -1;
  std::deque<Directory> pending_;
  Directory current_{};
  std::optional<DirectoryReader> reader_;
  std::optional<Move> move_;
  std::deque<std::string> events_;
  size_t queued_bytes_ = 0;
  Fd queue_;
  Watch watch_;
};

}  // namespace

std::unique_ptr<Stream> make_watch(Loop& loop, uint32_t id, protocol::WatchRequest&& request) {
  return std::make_unique<WatchStream>(loop, id, std::move(request));
}

}  // namespace svm::agent
