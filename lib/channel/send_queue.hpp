// What a socket has not taken yet. A frame goes to the socket directly while nothing is queued before it.
#pragma once
#include <cstddef>
#include <deque>
#include <string>
#include <string_view>

namespace svm::channel {

/// Not thread-safe: its owner locks. Nothing here waits.
class SendQueue {
 public:
  /// Sends header and payload, or queues the rest of them. False: nothing can be sent any more, for the socket is broken or
  /// there is no memory for the rest of a frame; what was queued is dropped.
  bool send(int socket, std::string_view header, std::string_view payload) noexcept;
  /// Sends what is queued, as far as the socket takes it. False as above.
  bool flush(int socket) noexcept;
  void drop() noexcept;
  size_t size() const noexcept { return size_; }  // bytes

 private:
  void append(std::string_view bytes);

  std::deque<std::string> chunks_;
  size_t offset_ = 0;  // of the first chunk: sent already
  size_t size_ = 0;
};

}  // namespace svm::channel
