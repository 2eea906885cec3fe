// Puts frames together from whatever pieces the socket delivers, copying each payload byte at most once.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

#include "protocol/frame.hpp"

namespace svm::channel {

class FrameAssembler {
 public:
  enum class Status { frame, need_more, malformed };

  /// Consumes from the front of `in`. frame: `out` is filled; its payload is borrowed, from `in` or from this object, until the
  /// next call. A bad header is malformed at once, before its payload has come.
  Status next(std::string_view& in, protocol::Frame& out);

  /// The payload of the frame that next() gave, to keep: moved where this object put it together, copied otherwise.
  std::string take_payload(const protocol::Frame& frame);

 private:
  protocol::Frame frame_;  // of header_, once it is complete
  char header_[protocol::kHeaderBytes];
  size_t header_size_ = 0;
  uint32_t payload_size_ = 0;
  std::string payload_;    // of a frame whose bytes came in several pieces
};

}  // namespace svm::channel
