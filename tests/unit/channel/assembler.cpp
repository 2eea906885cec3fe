#include "channel/frame_assembler.hpp"

#include <doctest/doctest.h>

#include <vector>

using namespace svm::channel;
using namespace svm::protocol;

TEST_CASE("frames come together from pieces of every size") {
  std::string bytes;
  std::vector<std::string> payloads;
  for (const size_t size : {size_t{1}, size_t{2}, size_t{11}, size_t{12}, size_t{13}, size_t{300}, size_t{5000}}) {
    payloads.push_back(std::string(size, static_cast<char>('a' + payloads.size())));
    encode_frame(bytes, FrameType::data, 5, payloads.back(), DataKind::err);
  }
  encode_frame(bytes, FrameType::end, 5, "");
  payloads.push_back("");
  for (size_t piece = 1; piece <= bytes.size(); piece += piece < 40 ? 1 : 97) {
    CAPTURE(piece);
    FrameAssembler assembler;
    std::vector<std::string> got;
    for (size_t at = 0; at < bytes.size(); at += piece) {
      std::string_view in = std::string_view(bytes).substr(at, piece);
      Frame frame;
      FrameAssembler::Status status;
      while ((status = assembler.next(in, frame)) == FrameAssembler::Status::frame) {
        CHECK(frame.stream == 5);
        got.push_back(assembler.take_payload(frame));
      }
      REQUIRE(status == FrameAssembler::Status::need_more);
      REQUIRE(in.empty());
    }
    CHECK(got == payloads);
  }
}

TEST_CASE("a bad header is refused before its payload has come") {
  char header[kHeaderBytes];
  encode_header(header, FrameType::data, 1, kMaxData + 1);
  FrameAssembler assembler;
  std::string_view in(header, sizeof header);
  Frame frame;
  CHECK(assembler.next(in, frame) == FrameAssembler::Status::malformed);
}
