#include "channel/stream_state.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

namespace svm::channel {
namespace {

constexpr uint32_t kGrantBytes = protocol::kWindow / 4;  // read before the agent hears of it
constexpr size_t kMergeBytes = 64 * 1024;                // small pieces of one kind are merged up to here
constexpr size_t kMaxPieces = 256;                       // bounds the bookkeeping of a megabyte that came byte by byte
constexpr size_t kMaxPlacedPieces = 16 * 1024;           // the same where the order counts
constexpr size_t kGapBytes = 8;

using Clock = std::chrono::steady_clock;

}  // namespace

template <class P>
bool StreamState::wait(Lock& lock, std::condition_variable& on, int64_t timeout_ms, P ready) {
  if (ready()) return true;
  if (timeout_ms == 0) return false;
  // Beyond a day it is for ever, and no arithmetic on the clock can overflow.
  constexpr int64_t kDayMs = 24 * 3600 * 1000;
  if (timeout_ms < 0 || timeout_ms > kDayMs) {
    on.wait(lock, ready);
    return true;
  }
  return on.wait_until(lock, Clock::now() + std::chrono::milliseconds(timeout_ms), ready);
}

bool StreamState::deliver(protocol::DataKind kind, std::string data) {
  if (kind == protocol::DataKind::gap && (!has_positions() || data.size() != kGapBytes)) return false;
  {
    const Lock lock(mutex_);
    if (agent_ended_ || data.size() > receive_credit_) return false;
    receive_credit_ -= static_cast<uint32_t>(data.size());
    if (abandoned_ || result_) return true;
    const bool was_empty = pieces_.empty();
    store(kind, std::move(data));
    if (!was_empty) return true;
  }
  can_read_.notify_one();
  notify_();
  return true;
}

void StreamState::store(protocol::DataKind kind, std::string data) {
  const bool gap = kind == protocol::DataKind::gap;
  if (!gap && !pieces_.empty() && pieces_.back().kind == kind && pieces_.back().data.size() + data.size() <= kMergeBytes) {
    pieces_.back().data += data;
    return;
  }
  if (!gap && pieces_.size() >= (has_positions() ? kMaxPlacedPieces : kMaxPieces)) {
    // Far behind: keep the order within each kind only. (Between stdout and stderr there never was a certain one.)
    const auto same = std::find_if(pieces_.rbegin(), pieces_.rend(), [&](const Piece& piece) { return piece.kind == kind; });
    if (same != pieces_.rend()) {
      same->data += data;
      return;
    }
  }
  pieces_.push_back({kind, std::move(data)});
}

bool StreamState::agent_end() {
  {
    const Lock lock(mutex_);
    if (std::exchange(agent_ended_, true)) return false;
    if (!half_closed()) return true;
  }
  can_read_.notify_one();
  notify_();
  return true;
}

bool StreamState::grant(uint32_t credit) {
  {
    const Lock lock(mutex_);
    if (credit == 0 || credit > protocol::kWindow - send_credit_) return false;
    const bool was_empty = send_credit_ == 0;
    send_credit_ += credit;
    if (!was_empty) return true;
  }
  can_write_.notify_one();
  notify_();
  return true;
}

bool StreamState::started(uint32_t pid) {
  return pid != 0 && (op_ == protocol::Op::exec || op_ == protocol::Op::attach) && pid_.exchange(pid, std::memory_order_release) == 0;
}

void StreamState::end(std::shared_ptr<const protocol::Result> result) noexcept {
  {
    const Lock lock(mutex_);
    if (result_) return;
    result_ = std::move(result);
  }
  can_read_.notify_all();
  can_write_.notify_all();
  notify_();
}

void StreamState::room() {
  { const Lock lock(mutex_); }  // a writer is either before its look at the room, or waits already
  can_write_.notify_one();
  notify_();
}

Stream::Next StreamState::take(int64_t timeout_ms, Piece& out, uint32_t& credit) {
  credit = 0;
  Lock lock(mutex_);
  if (!wait(lock, can_read_, timeout_ms, [&] { return !pieces_.empty() || result_ != nullptr || half_closed(); })) return Stream::Next::again;
  if (pieces_.empty() && !result_) return Stream::Next::half;
  if (pieces_.empty()) {
    end_seen_.store(true, std::memory_order_release);
    return Stream::Next::end;
  }
  out = std::move(pieces_.front());
  pieces_.pop_front();
  consumed_ += static_cast<uint32_t>(out.data.size());
  if (consumed_ >= kGrantBytes && !agent_ended_ && !result_) {
    credit = std::exchange(consumed_, 0);
    receive_credit_ += credit;
  }
  return Stream::Next::piece;
}

size_t StreamState::reserve(size_t wanted, int64_t timeout_ms, const std::atomic<bool>& has_room) {
  Lock lock(mutex_);
  const auto over = [&] { return finished_ || result_ != nullptr; };
  const bool ready = wait(lock, can_write_, timeout_ms, [&] { return over() || wanted == 0 || (send_credit_ > 0 && has_room.load()); });
  if (over()) throw Error(Code::closed, finished_ ? "write after finish" : "the stream has ended");
  if (!ready) return 0;
  const size_t size = std::min({wanted, size_t{send_credit_}, size_t{protocol::kMaxData}});
  send_credit_ -= static_cast<uint32_t>(size);
  return size;
}

bool StreamState::finish() {
  {
    const Lock lock(mutex_);
    if (std::exchange(finished_, true) || result_) return false;
  }
  can_write_.notify_all();
  return true;
}

bool StreamState::cancel() {
  const Lock lock(mutex_);
  return !std::exchange(cancelled_, true) && !result_;
}

void StreamState::abandon() {
  const Lock lock(mutex_);
  abandoned_ = true;
  pieces_.clear();
}

bool StreamState::ended() const {
  const Lock lock(mutex_);
  return result_ != nullptr;
}

bool StreamState::readable() const {
  const Lock lock(mutex_);
  return !pieces_.empty() || result_ || half_closed();
}

bool StreamState::writable(const std::atomic<bool>& has_room) const {
  const Lock lock(mutex_);
  return result_ || (!finished_ && send_credit_ > 0 && has_room.load());
}

const protocol::Result* StreamState::result() const noexcept {
  return end_seen_.load(std::memory_order_acquire) ? result_.get() : nullptr;
}

}  // namespace svm::channel
