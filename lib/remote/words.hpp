// What is said on the connection of a stream. The server's side is server/serve/operations.cpp; server/README.md has it in words. Pure.
//
// The client's first message is the request (JSON, or nothing). The server answers with `started` or `error`; then each side says what it has:
//   binary, from the server   a chunk: its kind (a STACYVM_CHUNK_ number, one byte), its position (eight bytes, the first one most significant), its bytes
//   binary, to the server     bytes that are written to the stream
//   text, from the server     {"type": started | gap | half | exit | end | error ...}
//   text, to the server       {"type": finish | signal | resize | cancel ...}
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "channel/channel.hpp"
#include "core/error.hpp"

namespace svm::remote {

inline constexpr uint8_t kChunkBytes = 0, kChunkStdout = 1, kChunkStderr = 2, kChunkEvent = 4;  // as STACYVM_CHUNK_

/// One message of the server's.
struct Word {
  enum class Kind : uint8_t { started, piece, half, end } kind{};
  std::string exec_id;       // started
  channel::Piece piece;      // piece: also a gap
  protocol::Result result;   // end: of any kind
};

/// Throws Error io for what no server says. What a later release says beside these is nothing.
std::optional<Word> parse_binary(std::string_view message);
std::optional<Word> parse_text(std::string_view message);
/// An error before the stream had begun, with all its facts; nothing for any other message.
std::optional<Error> refusal_of(std::string_view message);

std::string finish_word();
std::string cancel_word();
std::string signal_word(int signal, bool group);
std::string resize_word(uint32_t rows, uint32_t columns);

}  // namespace svm::remote
