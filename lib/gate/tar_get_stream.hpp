// A tree from the agent, as a tar archive. Nothing is kept but the current header.
#pragma once
#include <atomic>
#include <string>

#include "gate/stream_layer.hpp"
#include "protocol/tree.hpp"

namespace svm::gate {

class TarGetStream final : public StreamLayer {
 public:
  using StreamLayer::StreamLayer;
  /// Throws Error internal where what the agent sends is malformed or ends early.
  Next next(int64_t timeout_ms, channel::Piece& out) override;
  bool readable() const noexcept override { return end_pending_.load() || below_->readable(); }

 private:
  void convert(std::string_view in, std::string& out);
  void end_entry(std::string& out);

  protocol::TreeParser parser_;
  protocol::TreeEntry entry_;
  size_t padding_ = 0;    // after the current entry's content
  bool ended_ = false;
  std::atomic<bool> end_pending_ = false;  // the mark of the end was delivered, the end itself was not
};

}  // namespace svm::gate
