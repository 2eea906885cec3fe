// The events of a watch, each as a piece of JSON.
#pragma once
#include <deque>
#include <mutex>
#include <string>

#include "gate/stream_layer.hpp"

namespace svm::gate {

class WatchStream final : public StreamLayer {
 public:
  using StreamLayer::StreamLayer;
  /// One event a piece, whose position is its running number, from 1 on. Throws Error internal where the agent's are malformed.
  Next next(int64_t timeout_ms, channel::Piece& out) override;
  bool readable() const noexcept override;

 private:
  mutable std::mutex mutex_;  // readable() may be asked by any thread
  std::deque<std::string> events_;
  int64_t told_ = 0;
};

}  // namespace svm::gate
