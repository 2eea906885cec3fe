// The host side of one agent connection: many streams over one descriptor, driven by the reactor.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "channel/reactor.hpp"
#include "core/error.hpp"
#include "core/fd.hpp"
#include "protocol/frame.hpp"
#include "protocol/message.hpp"

namespace svm::channel {

/// A piece of what a stream delivered.
struct Piece {
  protocol::DataKind kind{};
  std::string data;
  int64_t position = -1;  // where it stands, where that is not the number of bytes before it
};

/// One request in flight. Reading and writing: one thread at a time each; cancel, send_signal and the notify hook: any thread.
/// A reader that does not read stops only its own stream (credit), and never holds more than protocol::kWindow bytes.
class Stream {
 public:
  virtual ~Stream() = default;  // dropping the last reference cancels what is still running

  enum class Next { piece, end, again, half };
  /// Waits up to timeout_ms (0: not at all, -1: for ever) for the next piece. end: the Result is there, see result().
  /// half: the other side sends no more, but still takes bytes, and the Result is to come (Op::dial alone); at every call until it has.
  /// A lost connection also ends the stream, with a Result of Code::closed (or what the channel failed with).
  virtual Next next(int64_t timeout_ms, Piece& out) = 0;
  /// Valid after Next::end (nullptr before).
  virtual const protocol::Result* result() const noexcept = 0;
  /// The pid that `started` announced; 0 before.
  virtual uint32_t pid() const noexcept = 0;
  /// The id of the command whose stream this is; empty where the stream is no command's, and below the gate, which gives ids.
  virtual std::string_view exec_id() const noexcept { return {}; }

  /// Queues bytes for the agent; returns how many were taken: at least one, unless neither credit nor room came within
  /// timeout_ms (then 0). After the end of the stream, or finish(), throws Error(Code::closed).
  virtual size_t write(const void* data, size_t size, int64_t timeout_ms) = 0;
  /// No more bytes from this side. Idempotent, and nothing after the end.
  virtual void finish() = 0;
  virtual void cancel() noexcept = 0;
  /// Throws Error: invalid outside 1 to 64, closed after the end, limit while the agent has stopped reading.
  virtual void send_signal(int signal, bool group) = 0;
  /// Ends the command behind the stream, where cancel() only lets go of it (an attached stream); otherwise as cancel().
  virtual void kill() noexcept { cancel(); }
  /// Sets the size of the command's terminal; nothing happens without one. Throws Error: invalid outside 1 to kMaxTerminalSide, closed and limit
  /// as send_signal.
  virtual void resize(uint32_t rows, uint32_t columns) = 0;

  /// What runs behind the stream goes on under another owner, who records its end: dropping the stream records nothing. Not while it is read.
  virtual void forget_end() noexcept {}

  /// Whether next() / write() would do something now (report the end included). Any thread.
  virtual bool readable() const noexcept = 0;
  virtual bool writable() const noexcept = 0;
  /// Called (on any thread, without locks held that next or write take) whenever readable() or writable() may have become
  /// true; ask both after setting it. Must not throw. One hook at a time; an empty function removes it, and after that returns
  /// the old one is not running (except when called from that very hook).
  virtual void set_notify(std::function<void()> hook) = 0;
};

/// What the agent said first, or why there is none.
struct Opening {
  std::optional<protocol::Ready> ready;
  std::optional<protocol::StepFailure> failure;  // the boundary could not be built
};

class Channel {
 public:
  virtual ~Channel() = default;  // dropping the last reference closes it
  /// Takes the socket, sends Hello. `on_open` runs once on the reactor thread with the first frame, or with neither member
  /// set when the connection ended before it. `on_closed` runs once on the reactor thread after the connection has ended, after on_open.
  /// The reactor must outlive the connection (that is on_closed, or stop()), not the objects.
  static std::shared_ptr<Channel> create(Reactor& reactor, Fd socket, const protocol::Hello& hello,
                                         std::function<void(const Opening&)> on_open, std::function<void()> on_closed);

  /// The same to an agent that had another host before; on_open then has what it told that one.
  static std::shared_ptr<Channel> resume(Reactor& reactor, Fd socket, std::function<void(const Opening&)> on_open, std::function<void()> on_closed);

  /// Opens a stream; usable at once, also before on_open (requests queue behind Hello). `payload` is what encode() made, which
  /// begins with `op`. Throws Error: closed after the end,
  /// limit beyond protocol::kMaxStreams open ones, invalid for a payload beyond protocol::kMaxPayload. Never blocks.
  virtual std::shared_ptr<Stream> request(protocol::Op op, std::string payload) = 0;

  /// Ends the connection: every stream ends with Code::closed. Idempotent; any thread.
  virtual void close() noexcept = 0;
  virtual size_t open_streams() const noexcept = 0;
};

}  // namespace svm::channel
