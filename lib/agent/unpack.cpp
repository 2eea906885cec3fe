// A tree that comes from the host: made below one directory, as the request's user, never through a symbolic link and never across a
// mount. What was made before a failure stays.
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "agent/lookup.hpp"
#include "agent/loop.hpp"
#include "core/id.hpp"
#include "protocol/tree.hpp"

namespace svm::agent {
namespace {

constexpr char kTemporaryPrefix[] = ".stacyvm-";
constexpr unsigned kStepItems = 256;               // entries and pieces of content in one turn
constexpr mode_t kUmaskBits = 022 | 07000;         // what open and mkdir do not set by themselves

class Unpack final : public Stream {
 public:
  Unpack(Loop& loop, uint32_t id, protocol::UnpackRequest&& request) : Stream(loop, id), request_(std::move(request)) {}
  ~Unpack() override {
    if (!file_) return;
    const ActAs as(loop_.context().rights, who_);
    if (as.error() == 0) drop_file();
  }

  void start() override {
    protocol::Result why;
    const auto who = find_identity(loop_.context(), request_.user, why);
    if (!who) return finish(why);
    who_ = *who;
    const ActAs as(loop_.context().rights, who_);
    if (as.error()) return finish(failure(as.error(), "become user", request_.user));
    if (const int error = open()) finish(path_failure(error, "unpack into", request_.path));
  }

  void on_data(std::string_view bytes) override {
    waiting_ += bytes;
    want_turn();
  }

  void on_end() override {
    input_ended_ = true;
    want_turn();
  }

  bool on_turn() override {
    const ActAs as(loop_.context().rights, who_);
    if (as.error()) {
      finish(failure(as.error(), "become user", request_.user));
      return false;
    }
    std::string_view in = std::string_view(waiting_).substr(at_);
    const size_t before = in.size();
    bool more = true;
    for (unsigned i = 0; i < kStepItems && more && !finished(); ++i) more = take(in);
    at_ += before - in.size();
    if (at_ == waiting_.size()) {
      at_ = 0;
      waiting_.clear();
    } else if (at_ >= protocol::kMaxData) {
      waiting_.erase(0, at_);
      at_ = 0;
    }
    if (finished()) {
      drop_file();
      return false;
    }
    consumed(before - in.size());
    if (more || !input_ended_) return more;
    if (!parser_.complete()) {
      finish(failure(Code::invalid, 0, "unpack into", request_.path, "the tree ends early"));
      drop_file();
      return false;
    }
    std::string body;
    protocol::encode(body, summary_);
    finish_ok(std::move(body));
    return false;
  }

 private:
  int open() {
    const Root& root = loop_.context().root;
    std::string path;
    if (const int error = root.absolute(request_.path, path)) return error;
    if (const int error = root.make_directories(path, top_)) return error;
    return is_special_fs(top_.get()) ? kSpecialParent : 0;
  }

  /// One item. False: nothing more has come.
  bool take(std::string_view& in) {
    std::string_view content;
    switch (parser_.next(in, entry_, content)) {
      case protocol::TreeParser::Item::need_more: return false;
      case protocol::TreeParser::Item::malformed:
        finish(failure(Code::invalid, 0, "unpack into", request_.path, "malformed tree"));
        return false;
      case protocol::TreeParser::Item::content: finish_if(write(content)); break;
      case protocol::TreeParser::Item::entry:
        ++summary_.entries;
        summary_.bytes += entry_.size;
        finish_if(make());
        break;
    }
    if (!finished() && file_ && parser_.content_left() == 0) finish_if(commit());
    return true;
  }

  void finish_if(int error) {
    if (error == 0) return;
    const std::string path = request_.path + "/" + entry_.path;
    if (error == -ELOOP || error == -ENOTDIR) return finish(failure(Code::conflict, -error, "unpack", path, "something that is no directory is in the way"));
    finish(path_failure(error, "unpack", path));
  }

  int make() {
    int parent = -1;
    std::string leaf;
    if (const int error = find_parent(entry_.path, true, parent, leaf)) return error;
    switch (entry_.type) {
      case protocol::TreeType::file: return begin_file(parent, leaf);
      case protocol::TreeType::directory: return make_directory(parent, leaf);
      case protocol::TreeType::symlink:
        return replace(parent, leaf, [&](const char* name) { return ::symlinkat(entry_.target.c_str(), parent, name); });
      case protocol::TreeType::hardlink: return make_link(parent, leaf);
      case protocol::TreeType::chmod: {
        Fd directory;
        if (const int error = open_child(parent, leaf, directory)) return error;
        return ::fchmod(directory.get(), entry_.mode) < 0 ? -errno : 0;
      }
    }
    return -EINVAL;
  }

  /// The directory of an entry, made where it is missing. The last one is kept: files of one directory mostly follow one another.
  int find_parent(const std::string& path, bool make, int& parent, std::string& leaf) {
    const size_t slash = path.rfind('/');
    leaf = path.substr(slash == std::string::npos ? 0 : slash + 1);
    const std::string directory = slash == std::string::npos ? std::string() : path.substr(0, slash);
    if (directory.empty()) {
      parent = top_.get();
      return 0;
    }
    if (!parent_ || directory != parent_path_) {
      parent_.reset();
      Fd at;
      for (size_t from = 0; from <= directory.size();) {
        const size_t end = std::min(directory.find('/', from), directory.size());
        const std::string name = directory.substr(from, end - from);
        const int above = at ? at.get() : top_.get();
        Fd below;
        int error = open_child(above, name, below);
        if (error == -ENOENT && make) {
          if (::mkdirat(above, name.c_str(), 0755) < 0 && errno != EEXIST) return -errno;
          error = open_child(above, name, below);
        }
        if (error) return error;
        at = std::move(below);
        from = end + 1;
      }
      parent_ = std::move(at);
      parent_path_ = directory;
    }
    parent = parent_.get();
    return 0;
  }

  int make_directory(int parent, const std::string& leaf) {
    if (::mkdirat(parent, leaf.c_str(), entry_.mode & 0777) < 0) {
      if (errno != EEXIST) return -errno;
      Fd existing;
      return open_child(parent, leaf, existing);  // one that is there stays as it is
    }
    if ((entry_.mode & kUmaskBits) == 0) return 0;
    Fd made;
    if (const int error = open_child(parent, leaf, made)) return error;
    return ::fchmod(made.get(), entry_.mode) < 0 ? -errno : 0;
  }

  /// Makes something that has no content, in the place of what has its name unless that is a directory.
  template <class Make>
  int replace(int parent, const std::string& leaf, Make make) {
    if (make(leaf.c_str()) == 0) return 0;
    if (errno != EEXIST) return -errno;
    const std::string temporary = random_id(kTemporaryPrefix);
    if (make(temporary.c_str()) < 0) return -errno;
    const int error = ::renameat(parent, temporary.c_str(), parent, leaf.c_str()) < 0 ? -errno : 0;
    // Also after a success: a rename onto another name of the same file does nothing.
    (void)::unlinkat(parent, temporary.c_str(), 0);
    return error;
  }

  int make_link(int parent, const std::string& leaf) {
    // The cached directory is the new name's: that of the old one is looked for by itself.
    const size_t slash = entry_.target.rfind('/');
    const std::string existing = entry_.target.substr(slash == std::string::npos ? 0 : slash + 1);
    Fd from;
    if (slash != std::string::npos)
      if (const int error = open_child(top_.get(), entry_.target.substr(0, slash), from)) return error;
    const int directory = from ? from.get() : top_.get();
    struct stat info;
    if (::fstatat(directory, existing.c_str(), &info, AT_SYMLINK_NOFOLLOW) < 0) return -errno;
    if (!S_ISREG(info.st_mode)) return kNotContent;
    return replace(parent, leaf, [&](const char* name) { return ::linkat(directory, existing.c_str(), parent, name, 0); });
  }

  int begin_file(int parent, const std::string& leaf) {
    constexpr int kFlags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    leaf_ = leaf;
    name_ = leaf;
    directory_ = parent;
    file_.reset(::openat(parent, name_.c_str(), kFlags, entry_.mode & 0777));
    if (!file_ && errno == EEXIST) {
      // What is there stays until the new one is whole.
      name_ = random_id(kTemporaryPrefix);
      file_.reset(::openat(parent, name_.c_str(), kFlags, entry_.mode & 0777));
    }
    return file_ ? 0 : -errno;
  }

  int write(std::string_view bytes) { return write_all(file_.get(), bytes.data(), bytes.size()); }

  int commit() {
    if ((entry_.mode & kUmaskBits) != 0 && ::fchmod(file_.get(), entry_.mode) < 0) return -errno;
    if (name_ != leaf_ && ::renameat(directory_, name_.c_str(), directory_, leaf_.c_str()) < 0) return -errno;
    file_.reset();
    return 0;
  }

  /// A file that did not come whole does not stay.
  void drop_file() noexcept {
    if (!file_) return;
    (void)::unlinkat(directory_, name_.c_str(), 0);
    file_.reset();
  }

  protocol::UnpackRequest request_;
  Identity who_;
  Fd top_, parent_;
  std::string parent_path_;
  protocol::TreeParser parser_;
  protocol::TreeEntry entry_;
  Fd file_;                  // being written, as name_ in directory_ (of top_ or parent_)
  int directory_ = -1;
  std::string leaf_, name_;
  std::string waiting_;      // at most a window
  size_t at_ = 0;
  bool input_ended_ = false;
  protocol::TreeSummary summary_;
};

}  // namespace

std::unique_ptr<Stream> make_unpack(Loop& loop, uint32_t id, protocol::UnpackRequest&& request) {
  return std::make_unique<Unpack>(loop, id, std::move(request));
}

}  // namespace svm::agent
