#include <doctest/doctest.h>

#include "protocol/frame.hpp"

using namespace svm::protocol;

namespace {
std::string header(uint8_t type, uint32_t stream, uint32_t size, uint8_t kind = 0) {
  char bytes[kHeaderBytes];
  encode_header(bytes, static_cast<FrameType>(type), stream, size, static_cast<DataKind>(kind));
  return {bytes, sizeof bytes};
}
DecodeStatus status(std::string_view in) {
  Frame frame;
  size_t used = 0;
  return decode_frame(in, frame, used);
}
constexpr uint8_t kData = static_cast<uint8_t>(FrameType::data);
}  // namespace

TEST_CASE("frames round trip, one after another") {
  std::string bytes;
  encode_frame(bytes, FrameType::hello, 0, "hi");
  encode_frame(bytes, FrameType::data, 0xdeadbeef, std::string_view("a\0b", 3), DataKind::err);
  encode_frame(bytes, FrameType::end, 7, "");
  std::string_view in = bytes;
  Frame frame;
  size_t used = 0;
  REQUIRE(decode_frame(in, frame, used) == DecodeStatus::frame);
  CHECK(frame.type == FrameType::hello);
  CHECK(frame.stream == 0);
  CHECK(frame.payload == "hi");
  in.remove_prefix(used);
  REQUIRE(decode_frame(in, frame, used) == DecodeStatus::frame);
  CHECK(frame.type == FrameType::data);
  CHECK(frame.kind == DataKind::err);
  CHECK(frame.stream == 0xdeadbeef);
  CHECK(frame.payload == std::string_view("a\0b", 3));
  in.remove_prefix(used);
  REQUIRE(decode_frame(in, frame, used) == DecodeStatus::frame);
  CHECK(frame.type == FrameType::end);
  CHECK(frame.payload.empty());
  in.remove_prefix(used);
  CHECK(in.empty());
}

TEST_CASE("the header is little-endian and twelve bytes") {
  CHECK(header(kData, 0x01020304, 0x00020001, 2) == std::string("\x01\x00\x02\x00\x06\x02\x00\x00\x04\x03\x02\x01", 12));
}

TEST_CASE("every truncation asks for what is missing") {
  std::string bytes;
  encode_frame(bytes, FrameType::result, 9, "payload");
  for (size_t size = 0; size < bytes.size(); ++size) {
    Frame frame;
    size_t used = 0;
    CHECK(decode_frame(std::string_view(bytes).substr(0, size), frame, used) == DecodeStatus::need_more);
    CHECK(used == (size < kHeaderBytes ? kHeaderBytes : bytes.size()));
  }
}

TEST_CASE("sizes at the limit and one beyond") {
  for (uint8_t type = 1; type <= 13; ++type) {
    CAPTURE(int(type));
    const uint32_t stream = type <= 3 || type == 13 ? 0 : 1;
    const uint32_t limit = type == kData ? kMaxData : kMaxPayload;
    CHECK(status(header(type, stream, limit)) == DecodeStatus::need_more);
    CHECK(status(header(type, stream, limit + 1)) == DecodeStatus::malformed);
    CHECK(status(header(type, stream, limit) + std::string(limit, 'x')) == DecodeStatus::frame);
  }
  CHECK(status(header(kData, 1, 0)) == DecodeStatus::malformed);
  CHECK(status(header(kData, 1, 1)) == DecodeStatus::need_more);
}

TEST_CASE("types, kinds, reserved bits and stream numbers") {
  for (int type = 0; type < 256; ++type) {
    CAPTURE(type);
    const auto t = static_cast<uint8_t>(type);
    const bool connection = (type >= 1 && type <= 3) || type == 13;
    const bool known = type >= 1 && type <= 13;
    CHECK((status(header(t, 0, 1)) == DecodeStatus::malformed) == !connection);
    CHECK((status(header(t, 1, 1)) == DecodeStatus::malformed) == (connection || !known));
    CHECK((status(header(t, connection ? 0 : 1, 1, 1)) == DecodeStatus::malformed) == (t != kData));
  }
  for (int kind = 0; kind < 256; ++kind)
    CHECK((status(header(kData, 1, 1, static_cast<uint8_t>(kind))) == DecodeStatus::malformed) == (kind > 5));
  for (const size_t at : {size_t{6}, size_t{7}})
    for (int bit = 0; bit < 8; ++bit) {
      std::string bytes = header(kData, 1, 1);
      bytes[at] = static_cast<char>(1 << bit);
      CHECK(status(bytes) == DecodeStatus::malformed);
    }
}
