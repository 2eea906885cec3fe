// One reader of the table of events, as a stream. Internal to lib/events.
#pragma once
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>

#include "channel/channel.hpp"
#include "channel/notifier.hpp"
#include "events/feed.hpp"
#include "events/log.hpp"

namespace svm::events {

inline constexpr uint32_t kPage = 32;  // events read from the table at a time: what a follower holds at most

class Follower final : public channel::Stream {
 public:
  Follower(std::shared_ptr<Feed> feed, Filter filter, int64_t after_id) : feed_(std::move(feed)), filter_(std::move(filter)), cursor_(after_id) {}

  Next next(int64_t timeout_ms, channel::Piece& out) override;
  const protocol::Result* result() const noexcept override;
  uint32_t pid() const noexcept override { return 0; }
  size_t write(const void*, size_t, int64_t) override;
  void finish() override {}
  void cancel() noexcept override;
  void send_signal(int, bool) override;
  void resize(uint32_t, uint32_t) override;
  bool readable() const noexcept override;
  bool writable() const noexcept override { return false; }
  void set_notify(std::function<void()> hook) override { notify_.set(std::move(hook)); }

  /// There may be more, or nothing more ever.
  void wake() noexcept;

 private:
  bool stage() const;
  void gap(int64_t first) const;

  const std::shared_ptr<Feed> feed_;
  const Filter filter_;
  mutable std::mutex mutex_;
  std::condition_variable more_;
  channel::Notifier notify_;
  mutable std::deque<model::Event> page_;  // what passed the filter
  mutable int64_t cursor_;                 // looked at up to here
  bool cancelled_ = false;
  std::optional<protocol::Result> result_;
};

}  // namespace svm::events
