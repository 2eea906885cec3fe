#include "source.hpp"

namespace svm::capi {

int Source::fd(uint32_t bit) noexcept {
  const std::lock_guard lock(mutex_);
  SignalFd& fd = bit == STACYVM_READY_WRITE ? write_fd_ : read_fd_;
  return fd.get((ready_now() & bit) != 0);
}

void Source::join(const std::shared_ptr<Queue>& queue, uint32_t interest, uint64_t tag) {
  if (instance_ && &queue->instance() != instance_.get()) throw invalid("q", "the queue belongs to another instance");
  const std::lock_guard lock(mutex_);
  if (queue_ && queue_ != queue) {
    if (!queue_->ended()) throw Error(Code::conflict, "already in another queue");
    leave_queue_locked();
  }
  if (interest == 0) return leave_queue_locked();
  if (!queue_) {
    member_.ready = ready_now();
    member_.code = ready_code();
  }
  queue->set(member_, interest, tag);
  queue_ = queue;
}

void Source::leave_queue() noexcept {
  const std::lock_guard lock(mutex_);
  leave_queue_locked();
}

void Source::leave_queue_locked() noexcept {
  if (!queue_) return;
  queue_->remove(member_);
  queue_.reset();
}

void Source::publish() noexcept {
  if (!queue_ && !read_fd_.made() && !write_fd_.made()) return;
  const uint32_t ready = ready_now();
  read_fd_.set((ready & ~STACYVM_READY_WRITE) != 0);
  write_fd_.set((ready & STACYVM_READY_WRITE) != 0);
  if (queue_) queue_->update(member_, ready, ready_code());
}

void Source::wake() noexcept {
  publish();
  changed_.notify_all();
}

}  // namespace svm::capi
