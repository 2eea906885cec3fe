// Reading a file: one chunk a turn, under credit.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "agent/lookup.hpp"
#include "agent/loop.hpp"

namespace svm::agent {
namespace {

class Read final : public Stream {
 public:
  Read(Loop& loop, uint32_t id, protocol::ReadRequest&& request) : Stream(loop, id), request_(std::move(request)) {}

  void start() override {
    protocol::Result why;
    const auto who = find_identity(loop_.context(), request_.user, why);
    if (!who) return finish(why);
    const ActAs as(loop_.context().rights, *who);
    if (as.error()) return finish(failure(as.error(), "become user", request_.user));
    const Root& root = loop_.context().root;
    std::string path;
    int error = root.absolute(request_.path, path);
    if (error == 0) error = root.content(path, O_RDONLY, file_, info_);
    if (error == 0 && S_ISDIR(info_.st_mode)) error = -EISDIR;
    if (error) return finish(path_failure(error, "read", request_.path));
    if (request_.offset > INT64_MAX) return finish(failure(EINVAL, "read", request_.path));
    // Beyond this no file reaches, so that offset + length cannot overflow.
    request_.length = std::min<uint64_t>(request_.length, INT64_MAX - request_.offset);
    want_turn();
  }

  void on_room() override { want_turn(); }

  bool on_turn() override {
    if (request_.length == 0) return end();
    Connection& connection = loop_.connection();
    if (credit() == 0 || connection.congested()) return false;
    const auto room = static_cast<size_t>(std::min({uint64_t{protocol::kMaxData}, credit(), request_.length}));
    ssize_t n;
    do {
      n = ::pread(file_.get(), connection.data(), room, static_cast<off_t>(request_.offset));
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
      finish(failure(errno, "read", request_.path));
      return false;
    }
    if (n == 0) return end();
    request_.offset += static_cast<uint64_t>(n);
    request_.length -= static_cast<uint64_t>(n);
    send_data(protocol::DataKind::bytes, static_cast<size_t>(n));
    return true;
  }

 private:
  bool end() {
    std::string body;
    protocol::encode(body, file_info(info_));
    finish_ok(std::move(body));
    return false;
  }

  protocol::ReadRequest request_;
  Fd file_;
  struct stat info_ {};
};

}  // namespace

std::unique_ptr<Stream> make_read(Loop& loop, uint32_t id, protocol::ReadRequest&& request) {
  return std::make_unique<Read>(loop, id, std::move(request));
}

}  // namespace svm::agent
