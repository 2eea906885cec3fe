// Lines that hold a text, in a file or in the files below a directory: every file opened below the tree's own descriptor and without
// following a link, a bounded piece a turn.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>

#include "agent/entries.hpp"
#include "agent/lookup.hpp"
#include "agent/search_text.hpp"

namespace svm::agent {
namespace {

constexpr size_t kBatchBytes = 64 * 1024;        // matches that are sent together
constexpr size_t kReadBytes = 64 * 1024;
constexpr unsigned kReadWork = kStepEntries / 8; // what reading as much counts for in a turn
constexpr size_t kMaxPending = 100'000;          // directories found and not yet read
constexpr size_t kTextHead = 512;                // a NUL in so many first bytes: no text

class Search final : public Stream {
 public:
  Search(Loop& loop, uint32_t id, protocol::SearchRequest&& request) : Stream(loop, id), request_(std::move(request)) {}

  void start() override {
    protocol::Result why;
    const auto who = find_identity(loop_.context(), request_.user, why);
    if (!who) return finish(why);
    who_ = *who;
    if (request_.text.find('\n') != std::string::npos) return finish(failure(Code::invalid, 0, "search", request_.path, "text has a newline"));
    const ActAs as(loop_.context().rights, who_);
    if (as.error()) return finish(failure(as.error(), "become user", request_.user));
    if (const int error = open()) return finish(path_failure(error, "search", request_.path));
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
      const bool over = summary_.more || (!file_ && !reader_ && names_.empty() && pending_.empty());
      if (batch_.size() >= kBatchBytes || (over && !batch_.empty())) {
        // A batch goes whole: a match is never cut between two frames.
        if (credit() < batch_.size() || loop_.connection().congested()) return false;
        std::memcpy(loop_.connection().data(), batch_.data(), batch_.size());
        send_data(protocol::DataKind::entry, batch_.size());
        batch_.clear();
      } else if (over) {
        std::string body;
        protocol::encode(body, summary_);
        finish_ok(std::move(body));
      } else if (file_) {
        search_file();
        work += kReadWork;
      } else if (!names_.empty()) {
        const DirectoryReader::Name entry = std::move(names_.back());
        names_.pop_back();
        visit(entry);
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
    struct stat info;
    Fd found;
    if (const int error = root.absolute(request_.path, top_path_)) return error;
    if (const int error = root.content(top_path_, O_RDONLY, found, info)) return error;
    if (is_special_fs(found.get())) return kSpecialParent;
    while (top_path_.size() > 1 && top_path_.back() == '/') top_path_.pop_back();
    if (!S_ISDIR(info.st_mode)) {
      begin_file({}, std::move(found));
      return 0;
    }
    top_ = std::move(found);
    pending_.emplace_back();
    return 0;
  }

  /// What is gone, another thing by now, closed to the user or on another file system is passed over, as in a shell.
  void open_directory() {
    current_ = std::move(pending_.back());
    pending_.pop_back();
    Fd directory;
    if (current_.empty()) directory.reset(::openat(top_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    else (void)open_child(top_.get(), current_, directory);
    if (!directory) return skip();
    reader_.emplace(std::move(directory));
    directory_ = reader_->fd();
  }

  void read_names() {
    const int more = reader_->read(names_);
    if (more < 0) skip();
    if (more <= 0) last_read_ = true;
    if (names_.empty() && last_read_) end_directory();
  }

  void end_directory() {
    reader_.reset();
    last_read_ = false;
  }

  void visit(const DirectoryReader::Name& entry) {
    const std::string path = current_.empty() ? entry.name : current_ + '/' + entry.name;
    look(entry, path);
    if (!finished() && names_.empty() && last_read_) end_directory();
  }

  void look(const DirectoryReader::Name& entry, const std::string& path) {
    unsigned char type = entry.type;
    if (type == DT_UNKNOWN) {
      struct stat info;
      if (::fstatat(directory_, entry.name.c_str(), &info, AT_SYMLINK_NOFOLLOW) < 0) return skip();
      type = S_ISDIR(info.st_mode) ? DT_DIR : S_ISREG(info.st_mode) ? DT_REG : DT_UNKNOWN;
    }
    if (type != DT_DIR && type != DT_REG) return;  // links are not followed; the others have no content
    if (top_path_.size() + 1 + path.size() > protocol::kMaxPathBytes) return skip();  // no request could name it
    if (type == DT_DIR) {
      if (pending_.size() < kMaxPending) return pending_.push_back(path);
      return finish(failure(Code::limit, 0, "search", request_.path, "more than " + std::to_string(kMaxPending) + " directories to look into"));
    }
    Fd file;
    struct stat info;
    if (open_inside(directory_, entry.name, O_RDONLY | O_NONBLOCK | O_NOCTTY, file) != 0 || ::fstat(file.get(), &info) < 0 || !S_ISREG(info.st_mode))
      return skip();
    begin_file(path, std::move(file));
  }

  void begin_file(const std::string& path, Fd file) {
    file_ = std::move(file);
    file_path_ = path.empty() ? top_path_ : top_path_ == "/" ? '/' + path : top_path_ + '/' + path;
    at_ = 0;
    lines_.emplace(request_.text);
  }

  void search_file() {
    // The next piece once the last one has no more lines to tell of.
    if (!fed_) {
      buffer_.resize(kReadBytes);
      const ssize_t n = ::pread(file_.get(), buffer_.data(), buffer_.size(), static_cast<off_t>(at_));
      if (n < 0 && errno == EINTR) return;
      if (n < 0) return end_file(), skip();
      if (at_ == 0 && std::memchr(buffer_.data(), 0, std::min(static_cast<size_t>(n), kTextHead))) return end_file(), skip();
      at_ += static_cast<uint64_t>(n);
      last_piece_ = n == 0;
      if (last_piece_) lines_->end();
      else lines_->feed({buffer_.data(), static_cast<size_t>(n)});
      fed_ = true;
    }
    LineSearch::Line line;
    while (batch_.size() < kBatchBytes) {
      if (!lines_->next(line)) {
        fed_ = false;
        if (last_piece_) ++summary_.files, end_file();
        return;
      }
      if (matches_ == entry_limit(request_.limit)) {
        summary_.more = true;
        return end_file();
      }
      ++matches_;
      protocol::encode(batch_, protocol::SearchMatch{file_path_, line.number, std::move(line.head)});
    }
  }

  void end_file() {
    file_.reset();
    lines_.reset();
    fed_ = false;
  }

  void skip() { ++summary_.skipped; }

  protocol::SearchRequest request_;
  Identity who_;
  std::string top_path_;
  Fd top_;
  std::vector<std::string> pending_;  // directories, relative to top_
  std::string current_;               // the one that is being read
  std::optional<DirectoryReader> reader_;
  int directory_ = -1;                // where names_ are
  bool last_read_ = false;
  std::vector<DirectoryReader::Name> names_;
  Fd file_;                           // being searched
  std::string file_path_;
  uint64_t at_ = 0;
  std::optional<LineSearch> lines_;
  std::string buffer_;
  bool fed_ = false, last_piece_ = false;
  size_t matches_ = 0;
  std::string batch_;
  protocol::SearchSummary summary_;
};

}  // namespace

std::unique_ptr<Stream> make_search(Loop& loop, uint32_t id, protocol::SearchRequest&& request) {
  return std::make_unique<Search>(loop, id, std::move(request));
}

}  // namespace svm::agent
