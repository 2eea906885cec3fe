// Writing a file: into a new one beside it, which takes its name only when all has come.
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "agent/lookup.hpp"
#include "agent/loop.hpp"
#include "agent/temporary.hpp"

namespace svm::agent {
namespace {

class Write final : public Stream {
 public:
  Write(Loop& loop, uint32_t id, protocol::WriteRequest&& request) : Stream(loop, id), request_(std::move(request)) {}
  ~Write() override { discard(); }

  void start() override {
    protocol::Result why;
    const auto who = find_identity(loop_.context(), request_.user, why);
    if (!who) return finish(why);
    who_ = *who;
    if ((request_.flags & protocol::kWriteExclusive) && (request_.flags & protocol::kWriteAppend))
      return finish(failure(Code::invalid, 0, "write", request_.path, "exclusive and append exclude each other"));
    act([this] { return open(); });
    loop_.uploads().trim(loop_.context().rights);
  }

  void on_data(std::string_view bytes) override {
    for (std::string_view rest = bytes; !rest.empty();) {
      const ssize_t n = ::write(file_.get(), rest.data(), rest.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return fail(-errno);
      rest.remove_prefix(static_cast<size_t>(n));
      received_ += static_cast<uint64_t>(n);
    }
    consumed(bytes.size());
  }

  void on_end() override {
    if (request_.flags & protocol::kWriteAppend) return want_turn();
    act([this] { return commit(); });
  }

  bool on_turn() override {
    act([this] { return append(); });
    return appending_ && !finished();
  }

  void on_cancel() override {
    discard();
    Stream::on_cancel();
  }

 private:
  template <class Step>
  void act(Step step) {
    const int error = act_as(loop_.context().rights, who_, step);
    if (error) fail(error);
  }

  void fail(int error) {
    discard();
    if (appended_ > 0)
      return finish(failure(code_from_errno(-error), -error, "append to", request_.path,
                            error_text(-error) + " after " + std::to_string(appended_) + " bytes"));
    finish(path_failure(error, "write", request_.path));
  }

  /// Finds where the file goes and makes the temporary one in the same directory.
  int open() {
    const Root& root = loop_.context().root;
    if (request_.path.size() > 1 && request_.path.back() == '/') return -EISDIR;
    std::string path;
    if (const int error = root.absolute(request_.path, path)) return error;
    if (!request_.upload.empty() && (resume(path) || finished())) return 0;
    struct stat info{};
    int error = root.target(path, directory_, leaf_, info);
    if (error == -ENOENT && (request_.flags & protocol::kWriteParents)) {
      Fd made;
      error = root.make_directories(path.substr(0, path.find_last_of('/') + 1), made);
      made.reset();
      if (error == 0) error = root.target(path, directory_, leaf_, info);
    }
    if (error) return error;
    if (is_special_fs(directory_.get())) return kSpecialParent;
    if (info.st_mode != 0) {
      if (request_.flags & protocol::kWriteExclusive) return -EEXIST;
      if (S_ISDIR(info.st_mode)) return -EISDIR;
      if (!S_ISREG(info.st_mode)) return kNotContent;
    }
    error = make_temporary(directory_.get(), O_RDWR, temporary_, file_);
    if (error) return error;
    if (!request_.upload.empty()) upload_ = &loop_.uploads().add(request_.upload, std::move(path), who_);
    return 0;
  }

  void conflict(const std::string& why) { finish(failure(Code::conflict, 0, "upload to", request_.path, why)); }

  /// Goes on with what is there of the upload: true. False: from the beginning, or finished() when the request is not for what is there.
  bool resume(const std::string& path) {
    Uploads& uploads = loop_.uploads();
    Upload* upload = uploads.find(request_.upload);
    if (upload && (upload->path != path || upload->who.uid != who_.uid)) return conflict("the name is that of an upload to another file, or another user's"), false;
    const bool asks = (request_.flags & protocol::kWriteStaged) != 0;
    if (upload && upload->writing) return conflict("it is being written"), false;
    if (upload && ((request_.flags & protocol::kWriteRestart) || !is_intact(*upload))) {
      unlink_staged(*upload);
      uploads.remove(*upload);
      upload = nullptr;
    }
    const uint64_t staged = upload ? upload->size : 0;
    if (asks) {
      protocol::FileInfo info;
      info.size = staged;
      std::string body;
      protocol::encode(body, info);
      return finish_ok(std::move(body)), false;
    }
    if (request_.offset != staged)
      return conflict(std::to_string(staged) + " bytes of it have come, so it cannot go on at " + std::to_string(request_.offset)), false;
    if (!upload) {
      if (uploads.full())
        finish(failure(Code::limit, 0, "upload to", request_.path, std::to_string(kMaxUploads) + " others are being written in the sandbox"));
      return false;
    }
    upload->writing = true;
    upload_ = upload;
    directory_ = std::move(upload->directory);
    file_ = std::move(upload->file);
    leaf_ = std::move(upload->leaf);
    temporary_ = std::move(upload->temporary);
    received_ = staged;
    return true;
  }

  int commit() {
    struct stat info;
    if (upload_ && !is_intact(directory_.get(), temporary_, file_.get(), received_)) {
      conflict("what had come of it was changed meanwhile");
      discard();
      return 0;
    }
    if (::fchmod(file_.get(), request_.mode) < 0) return -errno;
    // A directory that took the name meanwhile is EISDIR; a link is replaced, not followed.
    const bool exclusive = (request_.flags & (protocol::kWriteExclusive | protocol::kWriteAppend)) != 0;
    if (::renameat2(directory_.get(), temporary_.c_str(), directory_.get(), leaf_.c_str(), exclusive ? RENAME_NOREPLACE : 0) < 0) return -errno;
    temporary_.clear();
    if (upload_) loop_.uploads().remove(*std::exchange(upload_, nullptr));
    if (::fstat(file_.get(), &info) < 0) return -errno;
    std::string body;
    protocol::encode(body, file_info(info));
    finish_ok(std::move(body));
    return 0;
  }

  /// Moves one piece of the temporary file to the end of the target; a target that does not exist is made by commit().
  int append() {
    if (!appending_) {
      struct stat info;
      const int error = open_existing(info);
      if (error == -ENOENT) {
        const int made = commit();
        if (made != -EEXIST) return made;
        appending_ = true;  // it came into being just now: another turn
        retry_ = true;
        return 0;
      }
      if (error) return error;
      appending_ = true;
    } else if (retry_) {
      retry_ = false;
      struct stat info;
      if (const int error = open_existing(info)) return error;
    }
    char* buffer = loop_.connection().data();
    const ssize_t n = ::pread(file_.get(), buffer, protocol::kMaxData, static_cast<off_t>(appended_));
    if (n < 0) return -errno;
    for (ssize_t done = 0; done < n;) {
      const ssize_t written = ::write(existing_.get(), buffer + done, static_cast<size_t>(n - done));
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return -errno;
      done += written;
      appended_ += static_cast<uint64_t>(written);
    }
    if (n > 0) return 0;
    appending_ = false;
    struct stat info;
    if (::fstat(existing_.get(), &info) < 0) return -errno;
    discard();
    std::string body;
    protocol::encode(body, file_info(info));
    finish_ok(std::move(body));
    return 0;
  }

  /// Opens the leaf for appending, if it is a regular file, without following a link.
  int open_existing(struct stat& info) {
    existing_.reset(::openat(directory_.get(), leaf_.c_str(), O_WRONLY | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
    if (!existing_) return errno == ENXIO ? kNotContent : -errno;
    if (::fstat(existing_.get(), &info) < 0) return -errno;
    return S_ISREG(info.st_mode) ? 0 : kNotContent;
  }

  void discard() noexcept {
    if (temporary_.empty()) return;
    if (upload_) return leave();
    remove_temporary(loop_.context().rights, who_, directory_.get(), temporary_);
  }

  /// The upload waits for its next stream.
  void leave() noexcept {
    upload_->directory = std::move(directory_);
    upload_->file = std::move(file_);
    upload_->leaf = std::move(leaf_);
    upload_->temporary = std::exchange(temporary_, {});
    upload_->size = received_;
    loop_.uploads().leave(*std::exchange(upload_, nullptr));
  }

  protocol::WriteRequest request_;
  Identity who_;
  Fd directory_, file_, existing_;
  std::string leaf_, temporary_;
  uint64_t appended_ = 0;
  uint64_t received_ = 0;
  Upload* upload_ = nullptr;  // the loop's; this stream is the one that writes it
  bool appending_ = false, retry_ = false;
};

}  // namespace

std::unique_ptr<Stream> make_write(Loop& loop, uint32_t id, protocol::WriteRequest&& request) {
  return std::make_unique<Write>(loop, id, std::move(request));
}

}  // namespace svm::agent
