#include "output.hpp"

#include <iterator>
#include <optional>
#include <utility>

#include "../text/text.hpp"

namespace serve {
namespace {

const char* reason_name(int32_t reason) {
  constexpr const char* kNames[] = {"exited", "signalled", "timeout", "oom", "output_limit", "cancelled"};
  return reason >= 0 && static_cast<size_t>(reason) < std::size(kNames) ? kNames[reason] : "signalled";
}

}  // namespace

std::string end_members(stacyvm::Stream& stream) {
  const std::optional<stacyvm::ExecResult> result = stream.exec_result();
  if (!result) return "";
  return "\"exit_code\":" + std::to_string(result->exit_code) + ",\"signal\":" + std::to_string(result->signal) + ",\"reason\":\"" + reason_name(result->reason) +
         "\",\"wall_us\":" + std::to_string(result->wall.count()) + ",\"cpu_us\":" + std::to_string(result->cpu.count()) +
         ",\"memory_peak_bytes\":" + std::to_string(result->memory_peak_bytes);
}

std::string error_members(const stacyvm::Error& error) {
  const std::string members = "\"code\":" + text::json_string(error.name()) + ",\"message\":" + text::json_string(error.what());
  return error.details() == "{}" ? members : members + ",\"details\":" + error.details();
}

Halves::Piece Halves::whole(const stacyvm_chunk& chunk) {
  std::string& kept = kept_[chunk.kind == STACYVM_CHUNK_STDERR];
  Piece piece{chunk.kind == STACYVM_CHUNK_STDERR ? "stderr" : "stdout", std::move(kept)};
  kept.clear();
  piece.bytes.append(static_cast<const char*>(chunk.data), chunk.size);
  const size_t half = text::utf8_incomplete(piece.bytes);
  kept.assign(piece.bytes, piece.bytes.size() - half, half);
  piece.bytes.resize(piece.bytes.size() - half);
  return piece;
}

std::vector<Halves::Piece> Halves::rest() {
  std::vector<Piece> pieces;
  for (const int which : {0, 1})
    if (!kept_[which].empty()) pieces.push_back({which == 1 ? "stderr" : "stdout", std::exchange(kept_[which], {})});
  return pieces;
}

}  // namespace serve
