#include "protocol/frame.hpp"

#include <cstring>

namespace svm::protocol {
namespace {
void put32(char* at, uint32_t v) noexcept {
  for (int i = 0; i < 4; ++i) at[i] = static_cast<char>(v >> (8 * i) & 0xff);
}
uint32_t get32(const char* at) noexcept {
  uint32_t v = 0;
  for (int i = 0; i < 4; ++i) v |= static_cast<uint32_t>(static_cast<uint8_t>(at[i])) << (8 * i);
  return v;
}
bool is_connection_frame(FrameType type) noexcept {
  return type == FrameType::hello || type == FrameType::ready || type == FrameType::failed || type == FrameType::resume;
}
bool is_data_kind(uint8_t kind) noexcept { return kind <= static_cast<uint8_t>(DataKind::event); }
}  // namespace

void encode_header(char (&out)[kHeaderBytes], FrameType type, uint32_t stream, uint32_t size, DataKind kind) noexcept {
  put32(out, size);
  out[4] = static_cast<char>(type);
  out[5] = static_cast<char>(kind);
  out[6] = out[7] = 0;
  put32(out + 8, stream);
}

void encode_frame(std::string& out, FrameType type, uint32_t stream, std::string_view payload, DataKind kind) {
  char header[kHeaderBytes];
  encode_header(header, type, stream, static_cast<uint32_t>(payload.size()), kind);
  out.append(header, sizeof header);
  out += payload;
}

bool decode_header(const char (&in)[kHeaderBytes], Frame& out, uint32_t& size) noexcept {
  size = get32(in);
  const auto type = static_cast<uint8_t>(in[4]);
  const auto kind = static_cast<uint8_t>(in[5]);
  const uint32_t stream = get32(in + 8);
  if (type < static_cast<uint8_t>(FrameType::hello) || type > static_cast<uint8_t>(FrameType::resume)) return false;
  if (in[6] != 0 || in[7] != 0) return false;
  const auto frame_type = static_cast<FrameType>(type);
  if (is_connection_frame(frame_type) != (stream == 0)) return false;
  if (frame_type == FrameType::data) {
    if (!is_data_kind(kind) || size > kMaxData || size == 0) return false;
  } else if (kind != 0 || size > kMaxPayload) {
    return false;
  }
  out = Frame{frame_type, static_cast<DataKind>(kind), stream, {}};
  return true;
}

DecodeStatus decode_frame(std::string_view in, Frame& out, size_t& used) noexcept {
  used = kHeaderBytes;
  if (in.size() < kHeaderBytes) return DecodeStatus::need_more;
  char header[kHeaderBytes];
  std::memcpy(header, in.data(), kHeaderBytes);
  Frame frame;
  uint32_t size = 0;
  if (!decode_header(header, frame, size)) return DecodeStatus::malformed;
  used = kHeaderBytes + size;
  if (in.size() < used) return DecodeStatus::need_more;
  frame.payload = in.substr(kHeaderBytes, size);
  out = frame;
  return DecodeStatus::frame;
}

}  // namespace svm::protocol
