// Replacing a text in one file: what comes out goes into a new file beside it, which takes its name when all of it is there.
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "agent/lookup.hpp"
#include "agent/search_text.hpp"
#include "agent/temporary.hpp"

namespace svm::agent {
namespace {

constexpr size_t kReadBytes = 64 * 1024;
constexpr size_t kWriteBytes = 256 * 1024;  // written in one turn, about

class Replace final : public Stream {
 public:
  Replace(Loop& loop, uint32_t id, protocol::ReplaceRequest&& request)
      : Stream(loop, id), request_(std::move(request)), replacer_(request_.text, request_.replacement) {}
  ~Replace() override { discard(); }

  void start() override {
    protocol::Result why;
    const auto who = find_identity(loop_.context(), request_.user, why);
    if (!who) return finish(why);
    who_ = *who;
    act([this] { return open(); });
    if (!finished()) want_turn();
  }

  bool on_turn() override {
    act([this] { return step(); });
    return !finished();
  }

  void on_cancel() override {
    discard();
    Stream::on_cancel();
  }

 private:
  template <class Step>
  void act(Step step) {
    const int error = act_as(loop_.context().rights, who_, step);
    if (error == 0) return;
    discard();
    finish(path_failure(error, "replace in", request_.path));
  }

  int open() {
    const Root& root = loop_.context().root;
    if (request_.path.size() > 1 && request_.path.back() == '/') return -EISDIR;
    std::string path;
    struct stat info{};
    if (const int error = root.absolute(request_.path, path)) return error;
    if (const int error = root.target(path, directory_, leaf_, info)) return error;
    if (is_special_fs(directory_.get())) return kSpecialParent;
    if (info.st_mode == 0) return -ENOENT;
    if (S_ISDIR(info.st_mode)) return -EISDIR;
    from_.reset(::openat(directory_.get(), leaf_.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
    if (!from_) return errno == ENXIO ? kNotContent : -errno;
    if (::fstat(from_.get(), &info) < 0) return -errno;
    if (!S_ISREG(info.st_mode)) return kNotContent;
    mode_ = info.st_mode & 0777;
    return make_temporary(directory_.get(), O_WRONLY, temporary_, to_);
  }

  /// Reads a piece when the last one has gone out, and writes a piece.
  int step() {
    if (hungry_) {
      char piece[kReadBytes];
      const ssize_t n = ::read(from_.get(), piece, sizeof piece);
      if (n < 0) return errno == EINTR ? 0 : -errno;
      ended_ = n == 0;
      if (ended_) replacer_.end();
      else replacer_.feed({piece, static_cast<size_t>(n)});
    }
    out_.clear();
    hungry_ = !replacer_.next(out_, kWriteBytes);
    if (const int error = write_all(to_.get(), out_.data(), out_.size())) return error;
    return hungry_ && ended_ ? commit() : 0;
  }

  int commit() {
    if (replacer_.count() == 0) {
      discard();
    } else {
      if (::fchmod(to_.get(), mode_) < 0) return -errno;
      if (::renameat2(directory_.get(), temporary_.c_str(), directory_.get(), leaf_.c_str(), 0) < 0) return -errno;
      temporary_.clear();
    }
    std::string body;
    protocol::encode(body, protocol::Replaced{replacer_.count()});
    finish_ok(std::move(body));
    return 0;
  }

  void discard() noexcept { remove_temporary(loop_.context().rights, who_, directory_.get(), temporary_); }

  protocol::ReplaceRequest request_;
  Replacer replacer_;
  Identity who_;
  Fd directory_, from_, to_;
  std::string leaf_, temporary_, out_;
  mode_t mode_ = 0;
  bool hungry_ = true, ended_ = false;
};

}  // namespace

std::unique_ptr<Stream> make_replace(Loop& loop, uint32_t id, protocol::ReplaceRequest&& request) {
  return std::make_unique<Replace>(loop, id, std::move(request));
}

}  // namespace svm::agent
