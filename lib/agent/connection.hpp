// The agent's end of the byte stream to the host: whole frames in, frames out, never waiting.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "core/fd.hpp"
#include "protocol/frame.hpp"
#include "protocol/message.hpp"

namespace svm::agent {

/// Beyond this many unsent bytes no further request is read: a host that only asks and never listens gets no more answers.
inline constexpr size_t kMaxUnsent = 1024 * 1024;

class Connection {
 public:
  /// `fd` is made nonblocking, and closed by disconnect() only.
  explicit Connection(int fd) noexcept;
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  /// 0, or the errno that made the connection unusable from the start.
  int error() const noexcept { return error_; }
  int fd() const noexcept { return fd_; }  // -1: there is no peer for the time being
  /// Closes the descriptor and forgets what was on its way. What is sent from now on is dropped.
  void disconnect() noexcept;
  /// Goes on with another peer. 0, or -errno: then there is still none.
  int connect(Fd peer) noexcept;

  // --- in
  enum class Input { more, drained, ended };
  /// Reads once. `drained`: nothing there now; `ended`: end of file or an error.
  Input receive();
  enum class Next { frame, none, malformed };
  /// The next whole frame received. The payload is valid until the next call of receive().
  Next next(protocol::Frame& frame) noexcept;

  // --- out
  /// Queues a frame; it leaves with the next flush().
  void send(protocol::FrameType type, uint32_t stream, std::string_view payload);
  /// Room for the payload of one DATA frame: kMaxData bytes that the caller fills, then passes to send_data.
  char* data() noexcept { return data_; }
  /// data() was filled up to `size` and not sent.
  void touched(size_t size) noexcept;
  /// Sends the first `size` bytes of data(). Small ones are queued, large ones go to the socket from where they are; what it
  /// does not take is queued. Call only while !congested().
  void send_data(uint32_t stream, protocol::DataKind kind, size_t size);
  /// Writes what is queued, as far as the socket takes it.
  void flush();
  /// The socket is full: producers wait.
  bool congested() const noexcept { return congested_; }
  /// The socket was full since the last take_relief() and no longer is: who was told to wait is to be told to go on.
  bool relief_due() const noexcept { return was_full_ && !congested_; }
  void take_relief() noexcept { was_full_ = false; }
  size_t unsent() const noexcept { return out_.size() - sent_; }
  /// The peer is gone for writing. What it wrote before can still be read.
  bool broken() const noexcept { return broken_; }
  void drop_unsent() noexcept;
  /// Returns what large transfers left behind to the kernel.
  void trim() noexcept;

 private:
  int fd_;
  int error_ = 0;
  std::unique_ptr<char[]> in_;  // not a string: it would be zeroed before every read
  size_t in_capacity_ = 0, in_size_ = 0;
  bool grow_ = false;    // the last read filled the buffer
  size_t parsed_ = 0;    // bytes of in_ that next() has handed out
  size_t needed_ = protocol::kHeaderBytes;  // what the frame at parsed_ needs to be whole
  std::string out_;
  size_t sent_ = 0;
  bool congested_ = false, broken_ = false;
  bool was_full_ = false;  // somebody may have been refused room
  char* map_ = nullptr;  // a page whose tail is the frame's header, then kMaxData bytes
  char* data_ = nullptr;
  bool data_touched_ = false;
};

}  // namespace svm::agent
