// Listing one directory.
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
    reader_.emplace(std::move(directory));
    want_turn();
  }

 private:
  bool collect() override {
    std::vector<DirectoryReader::Name> found;
    const int more = reader_->read(found);
    if (more < 0) {
      finish(failure(-more, "list", request_.path));
      return false;
    }
    const size_t limit = entry_limit(request_.limit);
    if (names_.size() + found.size() > limit) {
      finish_too_many("list", request_.path, limit);
      return false;
    }
    for (auto& entry : found) names_.push_back(std::move(entry.name));
    return more == 0;
  }

  bool describe(const std::string& name, protocol::FileInfo& out) override {
    struct stat info;
    if (::fstatat(reader_->fd(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) < 0) return false;
    out = file_info(info);
    return true;
  }

  const Identity& who() const noexcept override { return who_; }

  protocol::ListRequest request_;
  Identity who_;
  std::optional<DirectoryReader> reader_;
};

}  // namespace

std::unique_ptr<Stream> make_list(Loop& loop, uint32_t id, protocol::ListRequest&& request) {
  return std::make_unique<List>(loop, id, std::move(request));
}

}  // namespace svm::agent
