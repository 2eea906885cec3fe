#include "events/follower.hpp"

#include <algorithm>
#include <chrono>

#include "core/clock.hpp"
#include "events/event.hpp"

namespace svm::events {

bool Filter::passes(const model::Event& event) const {
  if (!tenant_id.empty() && tenant_id != event.tenant_id) return false;
  if (!sandbox_id.empty() && sandbox_id != event.sandbox_id) return false;
  return types.empty() || std::find(types.begin(), types.end(), event.type) != types.end();
}

std::vector<model::Event> Feed::page(int64_t after_id, uint32_t limit) {
  const std::lock_guard lock(store_mutex_);
  return store_ ? store_->events(after_id, limit) : std::vector<model::Event>();
}

store::Store::EventRange Feed::range() {
  const std::lock_guard lock(store_mutex_);
  return store_ ? store_->event_range() : store::Store::EventRange{};
}

void Feed::join(const std::shared_ptr<Follower>& follower) {
  const std::lock_guard lock(followers_mutex_);
  std::erase_if(followers_, [](const auto& other) { return other.expired(); });
  followers_.push_back(follower);
}

uint32_t Feed::followers() {
  const std::lock_guard lock(followers_mutex_);
  std::erase_if(followers_, [](const auto& other) { return other.expired(); });
  return static_cast<uint32_t>(followers_.size());
}

void Feed::advance(int64_t last) {
  last_.store(last, std::memory_order_release);
  tell();
}

void Feed::close() {
  {
    const std::lock_guard lock(store_mutex_);
    store_ = nullptr;
  }
  closed_.store(true, std::memory_order_release);
  tell();
}

void Feed::tell() {
  std::vector<std::weak_ptr<Follower>> followers;
  {
    const std::lock_guard lock(followers_mutex_);
    followers = followers_;
  }
  for (const auto& weak : followers)
    if (const auto follower = weak.lock()) follower->wake();
}

/// Whether there is an event to give. Needs mutex_.
bool Follower::stage() const {
  while (page_.empty() && cursor_ < feed_->last() && !feed_->closed()) {
    std::vector<model::Event> rows = feed_->page(cursor_, kPage);
    // Ids are without gaps: where one is missing, it was there and was forgotten.
    const int64_t first = rows.empty() ? feed_->range().first : rows.front().id;
    if (first > cursor_ + 1) gap(first);
    for (model::Event& row : rows) {
      cursor_ = row.id;
      if (filter_.passes(row)) page_.push_back(std::move(row));
    }
  }
  return !page_.empty();
}

void Follower::gap(int64_t first) const {
  model::Event event;
  event.id = first - 1;
  event.wall_ms = system_clock().wall_ms();
  event.type = "events.gap";
  event.data = Data().number("first_id", first).json();
  page_.push_back(std::move(event));
  cursor_ = first - 1;
}

channel::Stream::Next Follower::next(int64_t timeout_ms, channel::Piece& out) {
  std::unique_lock lock(mutex_);
  const auto over = [&] { return cancelled_ || feed_->closed(); };
  const auto ready = [&] { return over() || stage(); };
  if (timeout_ms < 0)
    more_.wait(lock, ready);
  else if (!more_.wait_for(lock, std::chrono::milliseconds(timeout_ms), ready))
    return Next::again;
  if (over()) {
    if (!result_) result_ = cancelled_ ? protocol::Result{Code::cancelled, 0, "the stream was cancelled", ""} : protocol::Result{Code::closed, 0, "the instance is closed", ""};
    return Next::end;
  }
  out.kind = protocol::DataKind::event;
  out.position = page_.front().id;
  out.data = encode(page_.front());
  page_.pop_front();
  return Next::piece;
}

const protocol::Result* Follower::result() const noexcept {
  const std::lock_guard lock(mutex_);
  return result_ ? &*result_ : nullptr;
}

size_t Follower::write(const void*, size_t, int64_t) { throw Error(Code::closed, "a stream of events takes no bytes"); }
void Follower::send_signal(int, bool) { throw Error(Code::invalid, "a stream of events is no command"); }
void Follower::resize(uint32_t, uint32_t) { throw Error(Code::invalid, "a stream of events is no command"); }

void Follower::cancel() noexcept {
  {
    const std::lock_guard lock(mutex_);
    cancelled_ = true;
  }
  wake();
}

bool Follower::readable() const noexcept {
  const std::lock_guard lock(mutex_);
  if (cancelled_ || feed_->closed()) return true;
  try {
    return stage();
  } catch (const std::exception&) {
    return true;  // next() meets the same, and says it
  }
}

void Follower::wake() noexcept {
  {
    const std::lock_guard lock(mutex_);  // so that nobody is between looking and waiting
    more_.notify_all();
  }
  notify_();
}

}  // namespace svm::events
