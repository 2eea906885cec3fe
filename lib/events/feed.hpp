// What the log and its followers share: how far the table goes, and who wants to know. Internal to lib/events.
#pragma once
#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "store/store.hpp"

namespace svm::events {

class Follower;

/// Outlives the log where a follower does.
class Feed {
 public:
  explicit Feed(store::Store& store) : store_(&store), last_(store.event_range().last) {}

  /// The id of the newest stored event.
  int64_t last() const noexcept { return last_.load(std::memory_order_acquire); }
  bool closed() const noexcept { return closed_.load(std::memory_order_acquire); }
  /// Those after the id, and what there is. Nothing once closed.
  std::vector<model::Event> page(int64_t after_id, uint32_t limit);
  store::Store::EventRange range();

  void join(const std::shared_ptr<Follower>& follower);
  uint32_t followers();
  void advance(int64_t last);
  void close();

 private:
  void tell();
  std::mutex store_mutex_;  // the store is not used after close()
  store::Store* store_;
  std::atomic<int64_t> last_;
  std::atomic<bool> closed_ = false;
  std::mutex followers_mutex_;
  std::vector<std::weak_ptr<Follower>> followers_;
};

}  // namespace svm::events
