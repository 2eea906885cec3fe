// Listing a directory, and as many levels below it as were asked for.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <optional>

#include "agent/entries.hpp"
#include "agent/lookup.hpp"

namespace svm::agent {
namespace {

class List final : public EntryStream {
 public:
  List(Loop& loop, uint32_t id, protocol::ListRequest&& request) : EntryStream(loop, id), request_(std::move(request)) {}

  void start() override {
    protocol::Result why;
    const auto who = find_identity(loop_.context(), request_.user, why);
    if (!who) return finish(why);
    who_ = *who;
    const ActAs as(loop_.context().rights, who_);
    if (as.error()) return finish(failure(as.error(), "become user", request_.user));
    const Root& root = loop_.context().root;
    std::string path;
    Fd directory;
    struct stat info;
    int error = root.absolute(request_.path, path);
    if (error == 0) error = root.content(path, O_RDONLY, directory, info);
    if (error == 0 && !S_ISDIR(info.st_mode)) error = -ENOTDIR;
    if (error) return finish(path_failure(error, "list", request_.path));
    top_ = std::move(directory);
    pending_.push_back({{}, 1});
    want_turn();
  }

 private:
  struct Directory {
    std::string path;  // from top_ on; the top itself: empty
    uint32_t level;
  };

  bool collect() override {
    if (!reader_) {
      if (pending_.empty()) return true;
      current_ = std::move(pending_.back());
      pending_.pop_back();
      Fd directory;
      // One below that is gone, closed to the user or another file system's has no entries here.
      if (open(current_.path, directory) != 0) return false;
      reader_.emplace(std::move(directory));
    }
    std::vector<DirectoryReader::Name> found;
    const int more = reader_->read(found);
    if (more < 0 && current_.level == 1) {
      finish(failure(-more, "list", request_.path));
      return false;
    }
    const size_t limit = entry_limit(request_.limit);
    if (names_.size() + found.size() > limit) {
      finish_too_many("list", request_.path, limit);
      return false;
    }
    for (auto& entry : found) add(std::move(entry));
    if (more <= 0) reader_.reset();
    return false;
  }

  int open(const std::string& path, Fd& out) const {
    if (!path.empty()) return open_child(top_.get(), path, out);
    out.reset(::openat(top_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    return out ? 0 : -errno;
  }

  void add(DirectoryReader::Name&& entry) {
    std::string path = current_.path.empty() ? std::move(entry.name) : current_.path + '/' + entry.name;
    if (path.size() > protocol::kMaxPathBytes) return;  // no request could name it
    // What the file system does not tell the kind of, open_child does.
    if (current_.level < request_.depth && (entry.type == DT_DIR || entry.type == DT_UNKNOWN)) pending_.push_back({path, current_.level + 1});
    names_.push_back(std::move(path));
  }

  bool describe(const std::string& name, protocol::FileInfo& out) override {
    // Names come in order, so that most are in the directory of the one before.
    const size_t slash = name.rfind('/');
    const std::string parent = slash == name.npos ? std::string() : name.substr(0, slash);
    if (!parent_ || parent != parent_path_) {
      parent_path_ = parent;
      if (open(parent, parent_) != 0) return parent_.reset(), false;
    }
    struct stat info;
    const char* const leaf = name.c_str() + (slash == name.npos ? 0 : slash + 1);
    if (::fstatat(parent_.get(), leaf, &info, AT_SYMLINK_NOFOLLOW) < 0) return false;
    out = file_info(info, parent_.get(), leaf);
    return true;
  }

  const Identity& who() const noexcept override { return who_; }

  protocol::ListRequest request_;
  Identity who_;
  Fd top_, parent_;
  std::string parent_path_;
  std::vector<Directory> pending_;
  Directory current_{};
  std::optional<DirectoryReader> reader_;
};

}  // namespace

std::unique_ptr<Stream> make_list(Loop& loop, uint32_t id, protocol::ListRequest&& request) {
  return std::make_unique<List>(loop, id, std::move(request));
}

}  // namespace svm::agent
