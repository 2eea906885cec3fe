// WebSocket frames as bytes (RFC 6455 section 5): a client's are read, a server's are made. Pure; fuzzed.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace http {

inline constexpr size_t kMaxMessageBytes = 1u << 20;  // of a message, in however many frames: 1009 beyond
inline constexpr size_t kMaxControlBytes = 125;       // of a ping, a pong or a close

enum class Opcode : uint8_t { continuation = 0, text = 1, binary = 2, close = 8, ping = 9, pong = 10 };

// Why a conversation ends (RFC 6455 section 7.4.1), as far as it is the frames that say so.
inline constexpr int kCloseProtocol = 1002, kCloseNoCode = 1005, kCloseInvalid = 1007, kCloseTooBig = 1009;

/// Appends one whole frame, unmasked.
void append_frame(std::string& out, Opcode opcode, std::string_view payload);
/// What a close says: `code`, unless it is kCloseNoCode, and as much of the reason as has room.
std::string close_payload(int code, std::string_view reason);

/// Puts messages together from a client's frames, whatever pieces these come in.
class MessageReader {
 public:
  enum class Came : uint8_t { nothing_yet, text, binary, ping, pong, close, broken };
  /// Takes from the front of `bytes` up to the end of a message or a control frame; all of them where neither ends in them. Nothing may follow close and broken.
  Came take(std::string_view& bytes);
  /// Of text (which is UTF-8), binary and ping: its bytes, which may be moved out of it.
  std::string& payload() noexcept { return is_control() ? control_ : message_; }
  /// Of close: the client's code. Of broken: what to tell the client.
  int code() const noexcept { return code_; }
  const char* why() const noexcept { return why_; }

 private:
  static constexpr size_t kStart = 2, kMask = 4;  // bytes of a head
  Came broken(int code, const char* why) noexcept;
  bool is_control() const noexcept { return (head_[0] & 0x08) != 0; }
  bool is_final() const noexcept { return (head_[0] & 0x80) != 0; }
  size_t head_size() const noexcept;
  /// What is wrong with a head's first two bytes; nullptr: nothing.
  const char* check_start() const noexcept;
  Came begin() noexcept;  // the head is whole: nothing_yet, or broken
  Came end();             // the frame is whole
  Came end_close();

  std::array<unsigned char, 14> head_{};
  size_t have_ = 0;  // of head_
  bool in_payload_ = false, fragmented_ = false;
  Opcode kind_ = Opcode::text;  // of the message
  uint64_t size_ = 0, left_ = 0;
  std::string message_, control_;
  int code_ = 0;
  const char* why_ = "";
};

}  // namespace http
