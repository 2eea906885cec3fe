#include "agent/stream.hpp"

#include "agent/loop.hpp"
#include "core/bytes.hpp"

namespace svm::agent {
namespace {
constexpr uint64_t kGrantBytes = protocol::kWindow / 4;  // credit goes back in pieces of this size
constexpr uint64_t kMaxCredit = 1ull << 40;              // nobody grants that: a peer gone wrong
}  // namespace

void Stream::on_cancel() { finish(failure(Code::cancelled, 0, "cancelled", {}, {})); }

bool Stream::take_data(size_t size) noexcept {
  if (ended_ || size > protocol::kWindow - received_) return false;
  received_ += size;
  return true;
}

bool Stream::add_credit(uint32_t bytes) noexcept {
  if (bytes == 0 || credit_ + bytes > kMaxCredit) return false;
  credit_ += bytes;
  return true;
}

void Stream::send_data(protocol::DataKind kind, size_t size) {
  credit_ -= size;
  loop_.connection().send_data(id_, kind, size);
}

void Stream::send_started(uint32_t pid) {
  if (finished_) return;  // cancelled in this very round: its result is said, and nothing may follow it
  std::string payload;
  ByteWriter(payload).u32(pid);
  loop_.connection().send(protocol::FrameType::started, id_, payload);
}

void Stream::consumed(size_t size) {
  grantable_ += size;
  if (finished_ || grantable_ < kGrantBytes) return;
  std::string payload;
  ByteWriter(payload).u32(static_cast<uint32_t>(grantable_));
  received_ -= grantable_;
  grantable_ = 0;
  loop_.connection().send(protocol::FrameType::window, id_, payload);
}

void Stream::want_turn() {
  if (finished_ || std::exchange(wants_turn_, true)) return;
  loop_.add_turn(id_);
}

void Stream::finish(const protocol::Result& result) {
  if (std::exchange(finished_, true)) return;
  std::string payload;
  protocol::encode(payload, result);
  loop_.connection().send(protocol::FrameType::result, id_, payload);
  loop_.retire(id_);
}

void Stream::finish_ok(std::string body) {
  protocol::Result result;
  result.body = std::move(body);
  finish(result);
}

}  // namespace svm::agent
