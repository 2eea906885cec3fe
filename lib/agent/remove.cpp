// Removing a file or a tree.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "agent/lookup.hpp"
#include "agent/tree_remover.hpp"

namespace svm::agent {
namespace {

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
  template <class Step>
  void act(Step step) {
    const int error = act_as(loop_.context().rights, who_, step);
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
    if (const int error = remover_.start(top_.get(), leaf_)) return error;
    want_turn();
    return 0;
  }

  int remove_entry(int directory, const std::string& name, int flags) {
    if (::unlinkat(directory, name.c_str(), flags) < 0) return -errno;
    finish_ok();
    return 0;
  }

  int proceed() {
    const int left = remover_.step();
    if (left == 0) finish_ok();
    return left < 0 ? left : 0;
  }

  protocol::RemoveRequest request_;
  Identity who_;
  Fd top_;            // the parent of what is removed
  std::string leaf_;
  TreeRemover remover_;
};

}  // namespace

std::unique_ptr<Stream> make_remove(Loop& loop, uint32_t id, protocol::RemoveRequest&& request) {
  return std::make_unique<Remove>(loop, id, std::move(request));
}

}  // namespace svm::agent
