// A tree on its way to the host: directories one after the other, every file opened below the tree's own descriptor and without
// following a link, as many entries a turn as is fair to others.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <optional>

#include "agent/entries.hpp"
#include "agent/lookup.hpp"
#include "protocol/tree.hpp"

namespace svm::agent {
namespace {

constexpr size_t kBatchBytes = 128 * 1024;         // headers and small files that are sent together
constexpr uint64_t kSmallFile = 64 * 1024;         // larger ones go from the file to the socket by themselves
constexpr size_t kMaxPending = 100'000;            // directories found and not yet read
constexpr size_t kMaxHardLinks = 65'536;           // files with several names; beyond, a further name is a file of its own
constexpr uint64_t kMaxEntries = 1'000'000;

class Pack final : public Stream {
 public:
  Pack(Loop& loop, uint32_t id, protocol::PackRequest&& request) : Stream(loop, id), request_(std::move(request)) {}

  void start() override {
    protocol::Result why;
    const auto who = find_identity(loop_.context(), request_.user, why);
    if (!who) return finish(why);
    who_ = *who;
    const ActAs as(loop_.context().rights, who_);
    if (as.error()) return finish(failure(as.error(), "become user", request_.user));
    if (const int error = open()) return finish(path_failure(error, "read", request_.path));
    want_turn();
  }

  void on_room() override { want_turn(); }

  bool on_turn() override {
    const ActAs as(loop_.context().rights, who_);
    if (as.error()) {
      finish(failure(as.error(), "become user", request_.user));
      return false;
    }
    for (unsigned work = 0; work < kStepEntries && !finished(); ++work) {
      if (credit() == 0 || loop_.connection().congested()) return false;
      const bool over = !file_ && !reader_ && names_.empty() && pending_.empty();
      if (batch_.size() >= kBatchBytes || (!batch_.empty() && (file_ || over))) {
        flush();
        work += kStepEntries / 8;  // a quarter of a megabyte is work, too
      } else if (file_) {
        send_file();
        work += kStepEntries / 8;
      } else if (over) {
        std::string body;
        protocol::encode(body, summary_);
        finish_ok(std::move(body));
      } else if (!names_.empty()) {
        const std::string name = std::move(names_.back());
        names_.pop_back();
        visit(name);
      } else if (reader_) {
        read_names();
      } else {
        open_directory();
      }
    }
    return !finished();
  }

 private:
  int open() {
    const Root& root = loop_.context().root;
    std::string path;
    struct stat info;
    if (const int error = root.absolute(request_.path, path)) return error;
    Fd found;
    if (const int error = root.content(path, O_RDONLY, found, info)) return error;
    if (S_ISDIR(info.st_mode)) {
      if (is_special_fs(found.get())) return kSpecialParent;
      top_ = std::move(found);
      pending_.emplace_back();
      return 0;
    }
    // One file is a tree, too: its name alone.
    std::string leaf;
    if (const int error = root.parent(path, top_, leaf)) return error;
    if (is_special_fs(top_.get())) return kSpecialParent;
    directory_ = top_.get();
    add_file(leaf, std::move(found), info);
    return 0;
  }

  void fail(int error, const std::string& path) { finish(path_failure(error, "read", request_.path + "/" + path)); }
  void limit(const char* what, size_t most) {
    finish(failure(Code::limit, 0, "read", request_.path, "more than " + std::to_string(most) + ' ' + what));
  }

  void open_directory() {
    current_ = std::move(pending_.back());
    pending_.pop_back();
    Fd directory;
    int error = 0;
    if (current_.empty()) {
      directory.reset(::openat(top_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
      if (!directory) error = -errno;
    } else {
      error = open_child(top_.get(), current_, directory);
    }
    // Gone or replaced since it was listed: it stays an empty directory. Another file system's is not entered.
    if (error == -ENOENT || error == -ENOTDIR || error == -ELOOP || error == -EXDEV) {
      if (error == -EXDEV) ++summary_.skipped;
      return;
    }
    if (error) return fail(error, current_);
    reader_.emplace(std::move(directory));
    directory_ = reader_->fd();
  }

  void read_names() {
    std::vector<DirectoryReader::Name> found;
    const int more = reader_->read(found);
    if (more < 0) return fail(more, current_);
    for (auto& entry : found) names_.push_back(std::move(entry.name));
    if (more == 0) last_read_ = true;
    if (names_.empty() && last_read_) end_directory();
  }

  void end_directory() {
    reader_.reset();
    last_read_ = false;
  }

  void visit(const std::string& name) {
    const std::string path = current_.empty() ? name : current_ + '/' + name;
    struct stat info;
    if (::fstatat(directory_, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) < 0) {
      if (errno != ENOENT) return fail(-errno, path);
    } else if (!protocol::is_tree_path(path)) {
      return fail(-ENAMETOOLONG, path);
    } else {
      add(name, path, info);
    }
    if (!finished() && names_.empty() && last_read_) end_directory();
  }

  void add(const std::string& name, const std::string& path, const struct stat& info) {
    if (summary_.entries >= kMaxEntries) return limit("entries", kMaxEntries);
    if (S_ISDIR(info.st_mode)) {
      if (pending_.size() >= kMaxPending) return limit("directories to look into", kMaxPending);
      pending_.push_back(path);
      return put(protocol::TreeType::directory, path, info);
    }
    if (S_ISLNK(info.st_mode)) {
      char text[protocol::kMaxPathBytes + 1];
      const ssize_t size = ::readlinkat(directory_, name.c_str(), text, sizeof text);
      if (size < 0 && (errno == ENOENT || errno == EINVAL)) return;  // gone, or another thing by now
      if (size < 0) return fail(-errno, path);
      if (size == 0 || size > static_cast<ssize_t>(protocol::kMaxPathBytes)) return fail(-ENAMETOOLONG, path);
      return put(protocol::TreeType::symlink, path, info, std::string(text, static_cast<size_t>(size)));
    }
    if (!S_ISREG(info.st_mode)) {  // a device, FIFO or socket has no content
      ++summary_.skipped;
      return;
    }
    Fd file;
    const int error = open_inside(directory_, name, O_RDONLY | O_NONBLOCK | O_NOCTTY, file);
    if (error == -ENOENT || error == -ELOOP) return;
    if (error == -EXDEV) {
      ++summary_.skipped;
      return;
    }
    struct stat opened;
    if (error) return fail(error, path);
    if (::fstat(file.get(), &opened) < 0) return fail(-errno, path);
    if (!S_ISREG(opened.st_mode)) {
      ++summary_.skipped;
      return;
    }
    add_file(path, std::move(file), opened);
  }

  void add_file(const std::string& path, Fd file, const struct stat& info) {
    if (info.st_nlink > 1) {
      const auto key = std::make_pair(info.st_dev, info.st_ino);
      const auto known = links_.find(key);
      if (known != links_.end()) return put(protocol::TreeType::hardlink, path, info, known->second);
      if (links_.size() < kMaxHardLinks) links_.emplace(key, path);
    }
    put(protocol::TreeType::file, path, info);
    left_ = static_cast<uint64_t>(info.st_size);
    summary_.bytes += left_;
    at_ = 0;
    file_path_ = path;
    file_ = std::move(file);
    if (left_ > kSmallFile) return;
    const size_t had = batch_.size();
    batch_.resize(had + left_);
    const long n = read_all(file_.get(), batch_.data() + had, left_);
    if (n < 0 || static_cast<uint64_t>(n) != left_) return cut_short(n);
    file_.reset();
  }

  /// The tree says how long the file is before its content: there is no taking it back. One that grows is sent as long as it was.
  void cut_short(long n) {
    if (n < 0) return fail(static_cast<int>(n), file_path_);
    finish(failure(Code::conflict, 0, "read", request_.path + "/" + file_path_, "the file became shorter while it was read"));
  }

  void put(protocol::TreeType type, const std::string& path, const struct stat& info, std::string target = {}) {
    protocol::TreeEntry entry;
    entry.type = type;
    entry.path = path;
    entry.target = std::move(target);
    entry.mode = info.st_mode & 07777;
    entry.size = type == protocol::TreeType::file ? static_cast<uint64_t>(info.st_size) : 0;
    entry.mtime_ns = info.st_mtim.tv_sec * 1'000'000'000 + info.st_mtim.tv_nsec;
    entry.uid = info.st_uid;
    entry.gid = info.st_gid;
    protocol::encode(batch_, entry);
    ++summary_.entries;
  }

  void flush() {
    const auto n = static_cast<size_t>(std::min({uint64_t{batch_.size()}, credit(), uint64_t{protocol::kMaxData}}));
    std::memcpy(loop_.connection().data(), batch_.data(), n);
    send_data(protocol::DataKind::bytes, n);
    batch_.erase(0, n);
  }

  void send_file() {
    const auto room = static_cast<size_t>(std::min({uint64_t{protocol::kMaxData}, credit(), left_}));
    const ssize_t n = room == 0 ? 0 : ::pread(file_.get(), loop_.connection().data(), room, static_cast<off_t>(at_));
    if (n < 0 && errno == EINTR) return;
    if (n < 0) return cut_short(-errno);
    if (n == 0 && left_ > 0) return cut_short(0);
    at_ += static_cast<uint64_t>(n);
    left_ -= static_cast<uint64_t>(n);
    if (n > 0) send_data(protocol::DataKind::bytes, static_cast<size_t>(n));
    if (left_ == 0) file_.reset();
  }

  protocol::PackRequest request_;
  Identity who_;
  Fd top_;
  std::vector<std::string> pending_;  // directories, relative to top_
  std::string current_;               // the one that is being read
  std::optional<DirectoryReader> reader_;
  int directory_ = -1;                // where names_ are
  bool last_read_ = false;
  std::vector<std::string> names_;
  Fd file_;                           // being sent
  std::string file_path_;
  uint64_t at_ = 0, left_ = 0;
  std::map<std::pair<dev_t, ino_t>, std::string> links_;
  std::string batch_;
  protocol::TreeSummary summary_;
};

}  // namespace

std::unique_ptr<Stream> make_pack(Loop& loop, uint32_t id, protocol::PackRequest&& request) {
  return std::make_unique<Pack>(loop, id, std::move(request));
}

}  // namespace svm::agent
