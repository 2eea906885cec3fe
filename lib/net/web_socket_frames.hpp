// The frames of WebSockets (RFC 6455 section 5) as a client sees them. Pure: bytes in, messages out.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace svm::net {

/// RFC 6455 section 11.8.
enum class Opcode : uint8_t { continuation = 0, text = 1, binary = 2, close = 8, ping = 9, pong = 10 };

/// A message, put together, or a control frame.
struct Message {
  Opcode kind{};
  std::string payload;
};

/// Takes a server's bytes apart. Text is not looked at: whoever reads it as JSON does.
class FrameReader {
 public:
  /// What one message, all its fragments together, may have.
  static constexpr size_t kMaxMessage = 16u << 20;

  void feed(std::string_view bytes);
  /// The next whole message. False: more bytes are needed. Throws Error io where the server breaks the protocol, and for what is larger than kMaxMessage.
  bool next(Message& out);

 private:
  std::string buffer_;
  size_t from_ = 0;       // of buffer_: what was taken
  std::string fragments_;
  Opcode first_{};        // of the fragments
  bool fragmented_ = false;
};

/// Appends one frame, with the key that a client has to mask with (section 5.3).
void append_frame(std::string& out, Opcode opcode, std::string_view payload, uint32_t mask);

}  // namespace svm::net
