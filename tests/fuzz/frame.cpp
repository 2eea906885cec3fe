// The frame decoder, and the assembler that sees the same bytes in pieces: both must agree on every frame and on the end.
#include <algorithm>

#include "channel/frame_assembler.hpp"
#include "harness.hpp"
#include "protocol/frame.hpp"

using namespace svm::protocol;
using svm::channel::FrameAssembler;

namespace {
/// All frames of `in`, encoded again; then how it ended.
std::string decode_all(std::string_view in) {
  std::string out;
  for (;;) {
    Frame frame;
    size_t used = 0;
    const DecodeStatus status = decode_frame(in, frame, used);
    if (status == DecodeStatus::malformed) return out + "malformed";
    if (status == DecodeStatus::need_more) {
      SVM_INVARIANT(used > in.size());
      return out + "more";
    }
    SVM_INVARIANT(used == kHeaderBytes + frame.payload.size() && used <= in.size());
    const size_t before = out.size();
    encode_frame(out, frame.type, frame.stream, frame.payload, frame.kind);
    SVM_INVARIANT(std::string_view(out).substr(before) == in.substr(0, used));
    in.remove_prefix(used);
  }
}

std::string assemble_all(std::string_view in, size_t piece_size) {
  std::string out;
  FrameAssembler assembler;
  while (!in.empty()) {
    std::string_view piece = in.substr(0, piece_size);
    in.remove_prefix(piece.size());
    for (;;) {
      Frame frame;
      const auto status = assembler.next(piece, frame);
      if (status == FrameAssembler::Status::malformed) return out + "malformed";
      if (status == FrameAssembler::Status::need_more) break;
      const std::string payload = assembler.take_payload(frame);
      encode_frame(out, frame.type, frame.stream, payload, frame.kind);
    }
    SVM_INVARIANT(piece.empty());
  }
  return out + "more";
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const size_t piece = std::max<size_t>(data[0], 1);
  const std::string_view in = svm::fuzz::text(data + 1, size - 1);
  SVM_INVARIANT(decode_all(in) == assemble_all(in, piece));
  return 0;
}
