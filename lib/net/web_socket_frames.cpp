#include "net/web_socket_frames.hpp"

#include "core/error.hpp"

namespace svm::net {
namespace {

constexpr size_t kMaxControl = 125;

[[noreturn]] void broken(const char* what) { throw Error(Code::io, std::string("the server breaks the WebSocket protocol: ") + what); }

}  // namespace

void FrameReader::feed(std::string_view bytes) {
  if (from_ == buffer_.size()) {
    buffer_.clear();
    from_ = 0;
  } else if (from_ > buffer_.size() / 2) {
    buffer_.erase(0, from_);
    from_ = 0;
  }
  buffer_ += bytes;
}

bool FrameReader::next(Message& out) {
  for (;;) {
    const std::string_view rest = std::string_view(buffer_).substr(from_);
    if (rest.size() < 2) return false;
    const auto at = [&](size_t i) { return static_cast<unsigned char>(rest[i]); };
    const bool final = (at(0) & 0x80) != 0;
    if ((at(0) & 0x70) != 0) broken("reserved bits");
    const auto opcode = static_cast<Opcode>(at(0) & 0x0f);
    if ((at(1) & 0x80) != 0) broken("a server's frame is masked");
    uint64_t size = at(1) & 0x7f;
    size_t head = 2;
    if (size >= 126) {
      const size_t bytes = size == 126 ? 2 : 8;
      if (rest.size() < head + bytes) return false;
      size = 0;
      for (size_t i = 0; i < bytes; ++i) size = size << 8 | at(head + i);
      if (size < (bytes == 2 ? 126u : 0x10000u)) broken("a length that is longer than it need be");
      head += bytes;
    }
    const bool control = (static_cast<uint8_t>(opcode) & 8) != 0;
    switch (opcode) {
      case Opcode::close:
      case Opcode::ping:
      case Opcode::pong:
        if (!final || size > kMaxControl) broken("a control frame in pieces, or too large");
        break;
      case Opcode::continuation:
        if (!fragmented_) broken("a continuation of nothing");
        break;
      case Opcode::text:
      case Opcode::binary:
        if (fragmented_) broken("a message inside a message");
        break;
      default: broken("an unknown kind of frame");
    }
    if (size > kMaxMessage || (!control && size > kMaxMessage - fragments_.size())) broken("a message is too large");
    if (rest.size() - head < size) return false;
    const std::string_view payload = rest.substr(head, size);
    from_ += head + size;
    if (control) {
      out = {opcode, std::string(payload)};
      return true;
    }
    if (!fragmented_ && final) {
      out = {opcode, std::string(payload)};
      return true;
    }
    if (opcode != Opcode::continuation) first_ = opcode;
    fragments_ += payload;
    fragmented_ = !final;
    if (!final) continue;
    out = {first_, std::move(fragments_)};
    fragments_.clear();
    return true;
  }
}

void append_frame(std::string& out, Opcode opcode, std::string_view payload, uint32_t mask) {
  out += static_cast<char>(0x80 | static_cast<uint8_t>(opcode));
  const size_t bytes = payload.size() < 126 ? 0 : payload.size() < 0x10000 ? 2 : 8;
  out += static_cast<char>(0x80 | (bytes == 0 ? payload.size() : bytes == 2 ? 126 : 127));
  for (size_t i = bytes; i > 0; --i) out += static_cast<char>(uint64_t{payload.size()} >> (8 * (i - 1)));
  char key[4];
  for (size_t i = 0; i < 4; ++i) out += key[i] = static_cast<char>(mask >> (24 - 8 * i));
  const size_t start = out.size();
  out.append(payload);
  for (size_t i = 0; i < payload.size(); ++i) out[start + i] = static_cast<char>(out[start + i] ^ key[i % 4]);
}

}  // namespace svm::net
