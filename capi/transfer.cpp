// Files and trees to and from descriptors of the application.
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <vector>

#include "gate/exchange.hpp"
#include "gate/gate.hpp"
#include "op.hpp"
#include "options.hpp"

using namespace svm;
using namespace svm::capi;

namespace {

constexpr int kSliceMs = 100;                 // how late a cancelled transfer ends
constexpr size_t kReadBytes = 256 * 1024;
constexpr size_t kPipeBytes = 4096;           // PIPE_BUF: what a pipe that polls writable takes without waiting

/// The application's file behind a descriptor of our own. Its flags are shared with the application's and stay as they are: whether it would
/// wait is asked before every call.
class HostFile {
 public:
  /// `access`: O_RDONLY or O_WRONLY. One that is not open for it would never be ready.
  HostFile(int fd, const char* name, int access) : fd_(fd < 0 ? -1 : ::fcntl(fd, F_DUPFD_CLOEXEC, 3)) {
    if (!fd_ && fd >= 0 && errno != EBADF) throw errno_error(Code::limit, errno, "duplicating a descriptor");
    struct stat info;
    if (!fd_ || ::fstat(fd_.get(), &info) < 0) throw invalid(name, "not an open descriptor");
    const int flags = ::fcntl(fd_.get(), F_GETFL);
    if ((flags & O_PATH) != 0 || ((flags & O_ACCMODE) != access && (flags & O_ACCMODE) != O_RDWR))
      throw invalid(name, access == O_WRONLY ? "not open for writing" : "not open for reading");
    is_socket_ = S_ISSOCK(info.st_mode);
    is_regular_ = S_ISREG(info.st_mode) || S_ISBLK(info.st_mode);
  }

  /// Some of the bytes; 0: not now. Error io.
  size_t write(const char* data, size_t size) {
    if (!is_regular_ && !ready(POLLOUT)) return 0;
    ssize_t n;
    if (is_socket_) {
      n = ::send(fd_.get(), data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    } else {
      // SIGPIPE is blocked in our threads, and is one thread's alone.
      n = ::write(fd_.get(), data, is_regular_ ? size : std::min(size, kPipeBytes));
    }
    if (n >= 0) return static_cast<size_t>(n);
    if (errno == EAGAIN || errno == EINTR) return 0;
    throw errno_error(Code::io, errno, "writing to the descriptor");
  }

  /// What there is; 0 with `end` false: nothing yet. Error io.
  size_t read(char* data, size_t size, bool& end) {
    end = false;
    if (!is_regular_ && !ready(POLLIN)) return 0;
    const ssize_t n = is_socket_ ? ::recv(fd_.get(), data, size, MSG_DONTWAIT) : ::read(fd_.get(), data, size);
    end = n == 0;
    if (n >= 0) return static_cast<size_t>(n);
    if (errno == EAGAIN || errno == EINTR) return 0;
    throw errno_error(Code::io, errno, "reading from the descriptor");
  }

 private:
  bool ready(short events) const {
    pollfd fd{fd_.get(), events, 0};
    return ::poll(&fd, 1, kSliceMs) > 0;
  }

  Fd fd_;
  bool is_socket_ = false, is_regular_ = false;
};

struct Transfer {
  HostFile file;
  Op::Stop stop = std::make_shared<std::atomic<bool>>(false);
  void check() const {
    if (*stop) throw Error(Code::cancelled, "the call was cancelled");
  }
};

Op::Outcome outcome(uint64_t bytes) { return {"{\"bytes\":" + std::to_string(bytes) + "}", {}}; }

/// Throws what the stream ended with, unless that is a success.
void check_end(channel::Stream& stream) {
  const protocol::Result* result = stream.result();
  if (!result) throw Error(Code::internal, "the stream ended without a result");
  if (result->code != Code::ok) throw gate::result_error(*result);
}

Op::Outcome get(channel::Stream& stream, Transfer& transfer) {
  uint64_t total = 0;
  channel::Piece piece;
  for (;;) {
    transfer.check();
    const channel::Stream::Next next = stream.next(kSliceMs, piece);
    if (next == channel::Stream::Next::again) continue;
    if (next != channel::Stream::Next::piece) break;
    for (size_t at = 0; at < piece.data.size();) {
      transfer.check();
      at += transfer.file.write(piece.data.data() + at, piece.data.size() - at);
    }
    total += piece.data.size();
  }
  check_end(stream);
  return outcome(total);
}

Op::Outcome put(channel::Stream& stream, Transfer& transfer) {
  uint64_t total = 0;
  std::vector<char> buffer(kReadBytes);
  channel::Piece piece;
  try {
    for (bool end = false; !end;) {
      transfer.check();
      const size_t size = transfer.file.read(buffer.data(), buffer.size(), end);
      for (size_t at = 0; at < size;) {
        transfer.check();
        at += stream.write(buffer.data() + at, size - at, kSliceMs);
      }
      total += size;
      // A source that says nothing must not hide that the other side has given up.
      if (size == 0 && !end && stream.readable()) break;
    }
    stream.finish();
  } catch (const Error& error) {
    if (error.code() != Code::closed) throw;  // closed: the Result says why
  }
  for (;;) {
    transfer.check();
    const channel::Stream::Next next = stream.next(kSliceMs, piece);
    if (next == channel::Stream::Next::end) break;
  }
  check_end(stream);
  return outcome(total);
}

/// Starts the stream on the op's thread, and moves its bytes there.
template <class O, auto Move>
stacyvm_op* begin(const Sandbox& sandbox, typename O::Request request, std::shared_ptr<Transfer> transfer) {
  request.id = sandbox.id;
  const Op::Stop stop = transfer->stop;
  return make_op(
      sandbox.session, Op::Gives::json,
      [request = std::move(request), transfer = std::move(transfer)](Door& door, const Caller& caller) {
        const std::shared_ptr<channel::Stream> stream = door.start<O>(caller, request);
        return Move(*stream, *transfer);
      },
      stop);
}

}  // namespace

int32_t stacyvm_file_get(stacyvm_sandbox* sb, const char* path, uint64_t flags, int32_t to_fd, stacyvm_op** out, stacyvm_error** err) {
  return guard(err, [&] {
    const Sandbox& sandbox = *core_of(sb, "sb");
    require_output(out, "out");
    refuse_unknown_flags(flags, STACYVM_FILE_TAR);
    const std::string name = required_text(path, "path");
    auto transfer = std::make_shared<Transfer>(Transfer{HostFile(to_fd, "to_fd", O_WRONLY)});
    if (flags & STACYVM_FILE_TAR) {
      model::FileTarGetRequest request;
      request.path = name;
      *out = begin<ops::FileTarGet, &get>(sandbox, std::move(request), std::move(transfer));
    } else {
      model::FileReadRequest request;
      request.path = name;
      *out = begin<ops::FileRead, &get>(sandbox, std::move(request), std::move(transfer));
    }
    return STACYVM_OK;
  });
}

int32_t stacyvm_file_put(stacyvm_sandbox* sb, const char* path, uint64_t flags, int32_t from_fd, stacyvm_op** out, stacyvm_error** err) {
  return guard(err, [&] {
    const Sandbox& sandbox = *core_of(sb, "sb");
    require_output(out, "out");
    const bool tar = (flags & STACYVM_FILE_TAR) != 0;
    refuse_unknown_flags(flags, tar ? STACYVM_FILE_TAR : STACYVM_FILE_EXCLUSIVE | STACYVM_FILE_NO_PARENTS);
    const std::string name = required_text(path, "path");
    auto transfer = std::make_shared<Transfer>(Transfer{HostFile(from_fd, "from_fd", O_RDONLY)});
    if (tar) {
      model::FileTarPutRequest request;
      request.path = name;
      *out = begin<ops::FileTarPut, &put>(sandbox, std::move(request), std::move(transfer));
    } else {
      model::FileUploadRequest request;
      request.path = name;
      request.exclusive = (flags & STACYVM_FILE_EXCLUSIVE) != 0;
      request.parents = (flags & STACYVM_FILE_NO_PARENTS) == 0;
      *out = begin<ops::FileUpload, &put>(sandbox, std::move(request), std::move(transfer));
    }
    return STACYVM_OK;
  });
}
