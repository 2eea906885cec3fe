// What one stream holds: pieces that came and were not read, credit both ways, the result. Knows nothing of the socket.
#pragma once
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>

#include "channel/channel.hpp"
#include "channel/notifier.hpp"

namespace svm::channel {

class StreamState {
 public:
  StreamState(uint32_t id, protocol::Op op) : id_(id), op_(op) {}
  uint32_t id() const noexcept { return id_; }
  protocol::Op op() const noexcept { return op_; }

  // The agent's side, called on the reactor thread. False: the agent broke a rule.
  bool deliver(protocol::DataKind kind, std::string data);
  bool agent_end();
  bool grant(uint32_t credit);
  bool started(uint32_t pid);
  /// The stream is over. Any thread; the first one counts.
  void end(std::shared_ptr<const protocol::Result> result) noexcept;
  /// The channel has room again for what writers wait to send.
  void room();

  // The caller's side.
  /// `credit`: what to grant to the agent now; 0 mostly.
  Stream::Next take(int64_t timeout_ms, Piece& out, uint32_t& credit);
  /// How much of `wanted` may be sent now; 0 after timeout_ms. `has_room` is the channel's. Throws Error(closed).
  size_t reserve(size_t wanted, int64_t timeout_ms, const std::atomic<bool>& has_room);
  /// Whether END is to be sent: once, and not after the end.
  bool finish();
  /// Whether CANCEL is to be sent: as above.
  bool cancel();
  /// Nobody will read any more: what came and what comes is dropped.
  void abandon();
  bool ended() const;
  bool readable() const;
  bool writable(const std::atomic<bool>& has_room) const;
  uint32_t pid() const noexcept { return pid_.load(std::memory_order_acquire); }
  const protocol::Result* result() const noexcept;
  void set_notify(std::function<void()> hook) { notify_.set(std::move(hook)); }

 private:
  using Lock = std::unique_lock<std::mutex>;
  /// Its output has positions, which gaps name: the order of pieces is part of what it says.
  bool has_positions() const noexcept { return op_ == protocol::Op::attach || op_ == protocol::Op::console; }
  void store(protocol::DataKind kind, std::string data);
  /// Only a connection has two ways that end by themselves; elsewhere the Result is the end. mutex_ is held.
  bool half_closed() const noexcept { return agent_ended_ && op_ == protocol::Op::dial; }
  template <class P>
  bool wait(Lock& lock, std::condition_variable& on, int64_t timeout_ms, P ready);

  const uint32_t id_;
  const protocol::Op op_;
  Notifier notify_;
  std::atomic<uint32_t> pid_ = 0;
  std::atomic<bool> end_seen_ = false;  // take() has told the caller

  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable can_read_;
  std::condition_variable can_write_;
  std::deque<Piece> pieces_;
  std::shared_ptr<const protocol::Result> result_;
  uint32_t receive_credit_ = protocol::kWindow;  // what the agent may still send
  uint32_t consumed_ = 0;                        // read by the caller and not granted back yet
  uint32_t send_credit_ = protocol::kWindow;
  bool agent_ended_ = false;
  bool finished_ = false;
  bool cancelled_ = false;
  bool abandoned_ = false;
};

}  // namespace svm::channel
