#include "frames.hpp"

#include <algorithm>

#include "../text/text.hpp"

namespace http {
namespace {

constexpr size_t kSmall = 125;                      // the largest length that is in the second byte itself
constexpr unsigned kTwoBytes = 126, kEightBytes = 127;  // and what says that it follows

/// Codes that may be sent (section 7.4).
bool is_code(int code) noexcept { return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999); }

}  // namespace

void append_frame(std::string& out, Opcode opcode, std::string_view payload) {
  out += static_cast<char>(0x80 | static_cast<unsigned>(opcode));
  const uint64_t size = payload.size();
  const int bytes = size <= kSmall ? 0 : size <= 0xffff ? 2 : 8;
  out += static_cast<char>(bytes == 0 ? size : bytes == 2 ? kTwoBytes : kEightBytes);
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) out += static_cast<char>(size >> shift & 0xff);
  out += payload;
}

std::string close_payload(int code, std::string_view reason) {
  if (code == kCloseNoCode) return "";
  reason = reason.substr(0, kMaxControlBytes - 2);
  reason.remove_suffix(text::utf8_incomplete(reason));
  return std::string{static_cast<char>(code >> 8 & 0xff), static_cast<char>(code & 0xff)} + std::string(reason);
}

MessageReader::Came MessageReader::broken(int code, const char* why) noexcept {
  code_ = code;
  why_ = why;
  return Came::broken;
}

size_t MessageReader::head_size() const noexcept {
  if (have_ < kStart) return kStart;
  const unsigned length = head_[1] & 0x7f;
  return kStart + (length == kTwoBytes ? 2 : length == kEightBytes ? 8 : 0) + kMask;
}

const char* MessageReader::check_start() const noexcept {
  const auto opcode = static_cast<Opcode>(head_[0] & 0x0f);
  if ((head_[0] & 0x70) != 0) return "a frame has reserved bits";
  if ((head_[1] & 0x80) == 0) return "a frame is not masked";
  switch (opcode) {
    case Opcode::continuation: return fragmented_ ? nullptr : "a fragment continues nothing";
    case Opcode::text:
    case Opcode::binary: return fragmented_ ? "a message begins within another" : nullptr;
    case Opcode::close:
    case Opcode::ping:
    case Opcode::pong:
      if (!is_final()) return "a control frame is fragmented";
      return (head_[1] & 0x7f) > kMaxControlBytes ? "a control frame is longer than 125 bytes" : nullptr;
  }
  return "a frame is of no known kind";
}

MessageReader::Came MessageReader::begin() noexcept {
  const size_t bytes = head_size() - kStart - kMask;
  size_ = bytes == 0 ? head_[1] & 0x7f : 0;
  for (size_t i = 0; i < bytes; ++i) size_ = size_ << 8 | head_[kStart + i];
  if (size_ >> 63 != 0 || (bytes == 2 && size_ <= kSmall) || (bytes == 8 && size_ <= 0xffff)) return broken(kCloseProtocol, "a frame's length is not written as it should be");
  if (!is_control()) {
    if (const auto opcode = static_cast<Opcode>(head_[0] & 0x0f); opcode != Opcode::continuation) {
      kind_ = opcode;
      message_.clear();
    }
    if (size_ > kMaxMessageBytes - message_.size()) return broken(kCloseTooBig, "a message is longer than 1 MiB");
    fragmented_ = !is_final();
  } else {
    control_.clear();
  }
  left_ = size_;
  in_payload_ = true;
  return Came::nothing_yet;
}

MessageReader::Came MessageReader::end_close() {
  code_ = kCloseNoCode;
  if (control_.empty()) return Came::close;
  if (control_.size() == 1) return broken(kCloseProtocol, "a close has half a code");
  const int code = static_cast<unsigned char>(control_[0]) << 8 | static_cast<unsigned char>(control_[1]);
  if (!is_code(code)) return broken(kCloseProtocol, "a close has a code that nobody may send");
  if (!text::is_utf8(std::string_view(control_).substr(2))) return broken(kCloseInvalid, "a close's reason is not UTF-8");
  code_ = code;
  return Came::close;
}

MessageReader::Came MessageReader::end() {
  in_payload_ = false;
  have_ = 0;
  switch (static_cast<Opcode>(head_[0] & 0x0f)) {
    case Opcode::ping: return Came::ping;
    case Opcode::pong: return Came::pong;
    case Opcode::close: return end_close();
    default: break;
  }
  if (!is_final()) return Came::nothing_yet;
  if (kind_ == Opcode::binary) return Came::binary;
  return text::is_utf8(message_) ? Came::text : broken(kCloseInvalid, "a text is not UTF-8");
}

MessageReader::Came MessageReader::take(std::string_view& bytes) {
  while (!bytes.empty()) {
    while (!in_payload_) {
      if (bytes.empty()) return Came::nothing_yet;
      head_[have_++] = static_cast<unsigned char>(bytes.front());
      bytes.remove_prefix(1);
      if (have_ == kStart)
        if (const char* why = check_start()) return broken(kCloseProtocol, why);
      if (have_ == head_size() && begin() == Came::broken) return Came::broken;
    }
    const size_t n = static_cast<size_t>(std::min<uint64_t>(left_, bytes.size()));
    std::string& into = payload();
    const size_t old = into.size();
    into.append(bytes.substr(0, n));
    const unsigned char* mask = head_.data() + head_size() - kMask;
    const uint64_t at = size_ - left_;
    for (size_t i = 0; i < n; ++i) into[old + i] = static_cast<char>(static_cast<unsigned char>(into[old + i]) ^ mask[(at + i) % kMask]);
    bytes.remove_prefix(n);
    left_ -= n;
    if (left_ > 0) return Came::nothing_yet;
    if (const Came came = end(); came != Came::nothing_yet) return came;
  }
  return Came::nothing_yet;
}

}  // namespace http
