#include "providers/native/agent_tree_writer.hpp"

#include <algorithm>

#include "core/clock.hpp"
#include "core/error.hpp"

namespace svm::providers {
namespace {

std::string absolute(std::string_view path) { return "/" + std::string(path); }

[[noreturn]] void time_out() { throw Error(Code::timeout, "unpacking took too long"); }

}  // namespace

AgentTreeWriter::AgentTreeWriter(Request request, std::string user, int64_t timeout_ms)
    : request_(std::move(request)),
      user_(std::move(user)),
      deadline_ms_(timeout_ms < 0 ? -1 : system_clock().monotonic_ms() + timeout_ms) {}

AgentTreeWriter::~AgentTreeWriter() = default;

void AgentTreeWriter::mkdir(std::string_view path, uint32_t mode) {
  queue(send(protocol::Op::mkdir, protocol::MkdirRequest{absolute(path), mode, true, user_}));
}

void AgentTreeWriter::begin_file(std::string_view path, uint32_t mode, uint64_t) {
  file_ = send(protocol::Op::write, protocol::WriteRequest{absolute(path), mode, protocol::kWriteParents, user_, {}, 0});
}

void AgentTreeWriter::data(std::string_view bytes) {
  try {
    while (!bytes.empty()) {
      const size_t taken = file_->write(bytes.data(), bytes.size(), left_ms());
      if (taken == 0) time_out();
      bytes.remove_prefix(taken);
    }
  } catch (const Error& error) {
    // The agent has given up this file: its answer says why, "the disk is full" for one.
    if (error.code() == Code::closed) wait_for(*file_);
    throw;
  }
}

void AgentTreeWriter::commit_file() {
  file_->finish();
  queue(std::move(file_));
}

void AgentTreeWriter::symlink(std::string_view path, std::string_view target) {
  queue(send(protocol::Op::symlink, protocol::SymlinkRequest{std::string(target), absolute(path), true, user_, false}));
}

void AgentTreeWriter::hardlink(std::string_view path, std::string_view existing) {
  queue(send(protocol::Op::link, protocol::LinkRequest{absolute(existing), absolute(path), true, user_}));
}

void AgentTreeWriter::chmod(std::string_view path, uint32_t mode) {
  queue(send(protocol::Op::chmod, protocol::ChmodRequest{absolute(path), mode, user_, true, {}, {}}));
}

void AgentTreeWriter::finish() { wait_until(0); }

template <class Message>
std::shared_ptr<channel::Stream> AgentTreeWriter::send(protocol::Op op, const Message& message) {
  // Room for half as many again, not for one: each wait then is for a batch.
  if (in_flight_.size() >= kMaxInFlight) wait_until(kMaxInFlight / 2);
  std::string payload;
  protocol::encode(payload, message);
  return request_(op, std::move(payload));
}

void AgentTreeWriter::queue(std::shared_ptr<channel::Stream> stream) { in_flight_.push_back(std::move(stream)); }

/// Waits for the oldest until no more than that many are left.
void AgentTreeWriter::wait_until(size_t in_flight) {
  if (in_flight_.size() <= in_flight) return;
  // Answers come in order, but for a failure: the last one of the batch is the one to sleep for.
  channel::Piece piece;
  channel::Stream& last = *in_flight_[in_flight_.size() - in_flight - 1];
  while (last.next(left_ms(), piece) == channel::Stream::Next::piece) {
  }
  while (in_flight_.size() > in_flight) {
    wait_for(*in_flight_.front());
    in_flight_.pop_front();
  }
}

/// Throws what the request failed with.
void AgentTreeWriter::wait_for(channel::Stream& stream) {
  channel::Piece piece;
  channel::Stream::Next next;
  do next = stream.next(left_ms(), piece);
  while (next == channel::Stream::Next::piece);
  if (next == channel::Stream::Next::again) time_out();
  const protocol::Result& result = *stream.result();
  if (result.code == Code::ok) return;
  Error error(result.code, result.message);
  if (result.error != 0) throw std::move(error).with("errno", result.error);
  throw error;
}

int64_t AgentTreeWriter::left_ms() const {
  return deadline_ms_ < 0 ? -1 : std::max<int64_t>(deadline_ms_ - system_clock().monotonic_ms(), 0);
}

}  // namespace svm::providers
