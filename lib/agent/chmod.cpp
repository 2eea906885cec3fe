// Changing the mode, the owner and the group of a file or directory.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "agent/lookup.hpp"
#include "agent/loop.hpp"
#include "agent/proc_self.hpp"

namespace svm::agent {
namespace {

class Chmod final : public Stream {
 public:
  Chmod(Loop& loop, uint32_t id, protocol::ChmodRequest&& request) : Stream(loop, id), request_(std::move(request)) {}

  void start() override {
    protocol::Result why;
    const auto who = find_identity(loop_.context(), request_.user, why);
    if (!who) return finish(why);
    const auto owner = find_owner(loop_.context(), request_.owner, request_.group, why);
    if (!owner) return finish(why);
    {
      const ActAs as(loop_.context().rights, *who);
      why = as.error() ? failure(as.error(), "become user", request_.user) : change(*who, *owner);
    }
    finish(why);
  }

 private:
  bool changes_owner() const noexcept { return !request_.owner.empty() || !request_.group.empty(); }

  protocol::Result change(const Identity& who, const Owner& owner) const {
    const Root& root = loop_.context().root;
    const char* verb = changes_owner() ? "chown" : "chmod";
    std::string path;
    Fd fd;
    struct stat info;
    int error = root.absolute(request_.path, path);
    if (error == 0) error = root.handle(path, true, fd, info);
    if (error == 0 && is_special_fs(fd.get())) error = kSpecialParent;
    if (error == 0 && !S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode)) error = kNotContent;
    if (error) return path_failure(error, verb, request_.path);
    if (!changes_owner()) {
      error = chmod_handle(fd.get(), request_.mode);
      return error ? failure(-error, verb, request_.path) : protocol::Result{};
    }
    const OwnerRights rights(loop_.context().rights, who);
    if (rights.error()) return failure(rights.error(), verb, request_.path);
    // The owner first: changing it takes setuid and setgid away, and the mode is what was asked for in the end.
    if (::fchownat(fd.get(), "", owner.uid, owner.gid, AT_EMPTY_PATH) < 0) return failure(errno, verb, request_.path);
    if (request_.sets_mode && (error = chmod_handle(fd.get(), request_.mode)) != 0) return failure(-error, "chmod", request_.path);
    return {};
  }

  protocol::ChmodRequest request_;
};

}  // namespace

std::unique_ptr<Stream> make_chmod(Loop& loop, uint32_t id, protocol::ChmodRequest&& request) {
  return std::make_unique<Chmod>(loop, id, std::move(request));
}

}  // namespace svm::agent
