#include "remote/words.hpp"

#include "core/bytes.hpp"
#include "model/json.hpp"
#include "remote/failure.hpp"
#include "remote/members.hpp"

namespace svm::remote {
namespace {

using model::Json;

constexpr size_t kHead = 9;
constexpr int32_t kMaxErrno = 4095;
constexpr size_t kMaxMessageBytes = 512;  // of a Result

/// A number from 0 on; Error io otherwise.
int64_t number_of(const Json& json, std::string_view name, int64_t most = INT64_MAX) {
  const Json* found = member(json, name);
  const bool whole = found && found->type == Json::Type::number && !found->text.empty() && found->text.size() <= 19 &&
                     found->text.find_first_not_of("0123456789") == found->text.npos;
  const uint64_t value = whole ? std::stoull(found->text) : UINT64_MAX;
  if (value > static_cast<uint64_t>(most)) throw Error(Code::io, "the server's answer has no proper " + std::string(name));
  return static_cast<int64_t>(value);
}

protocol::ExecReason reason_of(const std::string& word) {
  static constexpr std::string_view kWords[] = {"exited", "signalled", "timeout", "oom", "output_limit", "cancelled"};
  for (size_t i = 0; i < std::size(kWords); ++i)
    if (word == kWords[i]) return static_cast<protocol::ExecReason>(i);
  return protocol::ExecReason::signalled;  // a later release's: what is certain is that it did not end by itself
}

protocol::Result exit_of(const Json& json) {
  protocol::ExecResult exec;
  exec.exit_code = static_cast<int32_t>(number_of(json, "exit_code", 255));
  exec.signal = static_cast<int32_t>(number_of(json, "signal", 64));
  exec.reason = reason_of(text_of(json, "reason"));
  exec.wall_us = static_cast<uint64_t>(number_of(json, "wall_us"));
  exec.cpu_us = static_cast<uint64_t>(number_of(json, "cpu_us"));
  exec.memory_peak = static_cast<uint64_t>(number_of(json, "memory_peak_bytes"));
  protocol::Result result;
  protocol::encode(result.body, exec);
  return result;
}

protocol::Result failed(const Error& error) {
  protocol::Result result;
  result.code = error.code();
  result.message = error.message().substr(0, kMaxMessageBytes);
  for (const auto& [name, value] : error.facts()) {
    if (name == "errno" && !value.empty() && value.size() <= 4 && value.find_first_not_of("0123456789") == value.npos)
      result.error = std::min(std::stoi(value), kMaxErrno);
    if (name == "field" && value == "user") result.subject = protocol::Subject::user;
    if (name == "field" && value == "owner") result.subject = protocol::Subject::owner;
    if (name == "field" && value == "group") result.subject = protocol::Subject::group;
    if (name == "field" && value == "workdir") result.subject = protocol::Subject::workdir;
  }
  return result;
}

Json parse(std::string_view message) {
  try {
    return model::json_parse(message, "message");
  } catch (const Error&) {
    throw Error(Code::io, "the server says something that is no JSON");
  }
}

}  // namespace

std::optional<Word> parse_binary(std::string_view message) {
  if (message.size() < kHead) throw Error(Code::io, "the server's chunk is too short");
  uint64_t position = 0;
  for (size_t i = 1; i < kHead; ++i) position = position << 8 | static_cast<unsigned char>(message[i]);
  Word word;
  word.kind = Word::Kind::piece;
  word.piece.data = message.substr(kHead);
  switch (static_cast<unsigned char>(message[0])) {
    case kChunkStdout: word.piece.kind = protocol::DataKind::out; break;
    case kChunkStderr: word.piece.kind = protocol::DataKind::err; break;
    case kChunkBytes: word.piece.kind = protocol::DataKind::bytes; break;
    case kChunkEvent:
      word.piece.kind = protocol::DataKind::event;
      if (position <= INT64_MAX) word.piece.position = static_cast<int64_t>(position);
      break;
    default: return std::nullopt;
  }
  return word;
}

std::optional<Word> parse_text(std::string_view message) {
  const Json json = parse(message);
  const std::string type = text_of(json, "type");
  Word word;
  if (type == "started") {
    word.kind = Word::Kind::started;
    word.exec_id = text_of(json, "exec_id");
  } else if (type == "gap") {
    word.kind = Word::Kind::piece;
    word.piece.kind = protocol::DataKind::gap;
    ByteWriter(word.piece.data).u64(static_cast<uint64_t>(number_of(json, "position")));
  } else if (type == "half") {
    word.kind = Word::Kind::half;
  } else if (type == "exit") {
    word.kind = Word::Kind::end;
    word.result = exit_of(json);
  } else if (type == "end") {
    word.kind = Word::Kind::end;
  } else if (type == "error") {
    word.kind = Word::Kind::end;
    word.result = failed(failure_of(json));
  } else {
    return std::nullopt;
  }
  return word;
}

std::optional<Error> refusal_of(std::string_view message) {
  const Json json = parse(message);
  if (text_of(json, "type") != "error") return std::nullopt;
  return failure_of(json);
}

std::string finish_word() { return R"({"type":"finish"})"; }
std::string cancel_word() { return R"({"type":"cancel"})"; }
std::string signal_word(int signal, bool group) {
  return R"({"type":"signal","signal":")" + std::to_string(signal) + (group ? R"(","group":true})" : R"("})");
}
std::string resize_word(uint32_t rows, uint32_t columns) {
  return R"({"type":"resize","rows":)" + std::to_string(rows) + R"(,"cols":)" + std::to_string(columns) + '}';
}

}  // namespace svm::remote
