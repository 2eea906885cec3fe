#include "queue.hpp"

#include "op.hpp"
#include "stream.hpp"

namespace svm::capi {

int Queue::fd() noexcept {
  const std::lock_guard lock(mutex_);
  return fd_.get(ended_ || !ready_.empty());
}

uint32_t Queue::wait(const Deadline& deadline, stacyvm_ready* out, uint32_t cap) {
  std::unique_lock lock(mutex_);
  while (!ended_ && ready_.empty())
    if (!deadline.wait(lock, changed_)) break;
  if (ended_) throw Error(Code::closed, "the queue's instance is closed");
  uint32_t n = 0;
  const auto last = ready_.empty() ? ready_.end() : std::prev(ready_.end());
  while (n < cap && !ready_.empty()) {
    const auto first = ready_.begin();
    const Member& member = **first;
    const uint32_t ready = member.ready & member.interest;
    out[n++] = {member.tag, ready, (ready & STACYVM_READY_DONE) != 0 ? member.code : 0};
    const bool all = first == last;
    ready_.splice(ready_.end(), ready_, first);  // the others come first the next time
    if (all) break;
  }
  return n;
}

void Queue::set(Member& member, uint32_t interest, uint64_t tag) {
  const std::lock_guard lock(mutex_);
  if (ended_) throw Error(Code::closed, "the queue's instance is closed");
  if (!member.listed && member.node.empty()) member.node.push_back(&member);
  member.interest = interest;
  member.tag = tag;
  relink(member);
}

void Queue::update(Member& member, uint32_t ready, int32_t code) noexcept {
  const std::lock_guard lock(mutex_);
  member.ready = ready;
  member.code = code;
  relink(member);
}

void Queue::remove(Member& member) noexcept {
  const std::lock_guard lock(mutex_);
  member.interest = 0;
  relink(member);
}

void Queue::end() noexcept {
  const std::lock_guard lock(mutex_);
  ended_ = true;
  signal();
}

bool Queue::ended() const noexcept {
  const std::lock_guard lock(mutex_);
  return ended_;
}

void Queue::relink(Member& member) noexcept {
  const bool wanted = (member.ready & member.interest) != 0;
  if (wanted == member.listed) return;
  member.listed = wanted;
  if (wanted) {
    member.place = member.node.begin();
    ready_.splice(ready_.end(), member.node, member.place);
  } else {
    member.node.splice(member.node.begin(), ready_, member.place);
  }
  signal();
}

void Queue::signal() noexcept {
  const bool on = ended_ || !ready_.empty();
  fd_.set(on);
  if (on) changed_.notify_all();
}

}  // namespace svm::capi

using namespace svm;
using namespace svm::capi;

int32_t stacyvm_queue_new(stacyvm_instance* vm, stacyvm_queue** out, stacyvm_error** err) {
  return guard(err, [&] {
    const auto& instance = core_of(vm, "vm");
    require_output(out, "out");
    const Lease lease = instance->enter();
    auto queue = std::make_shared<Queue>(instance);
    auto handle = make_handle<stacyvm_queue>(queue);
    instance->adopt(queue);
    *out = handle.release();
    return STACYVM_OK;
  });
}

int32_t stacyvm_queue_fd(stacyvm_queue* q) {
  if (!is_handle(q) || is_inherited(q)) return -1;
  return q->core->fd();
}

int32_t stacyvm_queue_add_stream(stacyvm_queue* q, stacyvm_stream* st, uint32_t interest, uint64_t tag, stacyvm_error** err) {
  return guard(err, [&] {
    const auto& queue = core_of(q, "q");
    const auto& stream = core_of(st, "st");
    if ((interest & ~(STACYVM_READY_READ | STACYVM_READY_WRITE)) != 0) throw invalid("interest", "unknown bits");
    if ((interest & STACYVM_READY_WRITE) != 0 && !stream->takes_bytes()) throw invalid("interest", "the stream takes no bytes");
    stream->join(queue, interest, tag);
    return STACYVM_OK;
  });
}

int32_t stacyvm_queue_add_op(stacyvm_queue* q, stacyvm_op* op, uint64_t tag, stacyvm_error** err) {
  return guard(err, [&] {
    const auto& queue = core_of(q, "q");
    core_of(op, "op")->join(queue, STACYVM_READY_DONE, tag);
    return STACYVM_OK;
  });
}

int32_t stacyvm_queue_wait(stacyvm_queue* q, int64_t timeout_ms, stacyvm_ready* out, uint32_t cap, uint32_t* n, stacyvm_error** err) {
  return guard(err, [&]() -> int32_t {
    Queue& queue = *core_of(q, "q");
    const Deadline deadline(timeout_ms);
    require_output(out, "out");
    require_output(n, "n");
    if (cap == 0) throw invalid("cap", "zero");
    const uint32_t stored = queue.wait(deadline, out, cap);
    if (stored == 0) return STACYVM_E_AGAIN;
    *n = stored;
    return STACYVM_OK;
  });
}

void stacyvm_queue_close(stacyvm_queue* q) {
  close_handle(q, [](Queue& queue) {
    queue.end();
    queue.instance().forget(queue);
  });
}
