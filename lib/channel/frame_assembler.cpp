#include "channel/frame_assembler.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace svm::channel {
using protocol::Frame;
using protocol::kHeaderBytes;

FrameAssembler::Status FrameAssembler::next(std::string_view& in, Frame& out) {
  if (header_size_ < kHeaderBytes) {
    if (in.empty()) return Status::need_more;
    const size_t n = std::min(in.size(), kHeaderBytes - header_size_);
    std::memcpy(header_ + header_size_, in.data(), n);
    header_size_ += n;
    in.remove_prefix(n);
    if (header_size_ < kHeaderBytes) return Status::need_more;
    if (!decode_header(header_, frame_, payload_size_)) return Status::malformed;
    std::string().swap(payload_);  // frees it: an idle channel keeps nothing
  }
  if (payload_.empty() && in.size() >= payload_size_) {
    frame_.payload = in.substr(0, payload_size_);
    in.remove_prefix(payload_size_);
  } else {
    if (payload_.empty()) payload_.reserve(payload_size_);
    const size_t n = std::min(in.size(), payload_size_ - payload_.size());
    payload_.append(in.substr(0, n));
    in.remove_prefix(n);
    if (payload_.size() < payload_size_) return Status::need_more;
    frame_.payload = payload_;
  }
  header_size_ = 0;
  out = frame_;
  return Status::frame;
}

std::string FrameAssembler::take_payload(const Frame& frame) {
  if (frame.payload.data() != payload_.data()) return std::string(frame.payload);
  return std::exchange(payload_, {});
}

}  // namespace svm::channel
