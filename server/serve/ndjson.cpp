// A command's output as it comes: application/x-ndjson, one {"stream", "data"} a line. The last line has no data, and the command's end.
#include <iterator>
#include <memory>
#include <string>
#include <utility>

#include "../text/text.hpp"
#include "forms.hpp"
#include "output.hpp"
#include "waiting.hpp"

namespace serve {
namespace {

constexpr const char* kType = "application/x-ndjson";
constexpr size_t kEnough = 64u << 10;  // bytes of lines that are written at once

/// {"stream": "stdout", "data": TEXT}; where the bytes are not UTF-8, "data" shows what can be shown and "data_b64" has them.
std::string line_of(std::string_view stream, std::string_view bytes) {
  std::string line = "{\"stream\":\"" + std::string(stream) + "\",\"data\":" + text::json_string(bytes);
  if (!text::is_utf8(bytes)) line += ",\"data_b64\":\"" + text::base64(bytes) + '"';
  return line + "}\n";
}

constexpr std::chrono::milliseconds kFirst{100};  // for what cannot be started, which is an ordinary error, to be told

/// The lines of one stream.
class Lines {
 public:
  Lines(stacyvm::Stream&& stream, std::shared_ptr<stacyvm::Session> session) : session_(std::move(session)), stream_(std::move(stream)) {}

  enum class Step : uint8_t { lines, none_yet, over };
  /// Appends what has come. Throws what ended the stream.
  Step next(std::string& out, stacyvm::Timeout timeout) {
    stacyvm_chunk chunk;
    switch (stream_.next(chunk, timeout)) {
      case stacyvm::Stream::Next::again: return Step::none_yet;
      case stacyvm::Stream::Next::end: return Step::over;
      case stacyvm::Stream::Next::chunk: break;
    }
    if (chunk.kind == STACYVM_CHUNK_EXIT) {
      add_rest(out);
      out += "{\"stream\":\"stdout\",\"data\":\"\"," + end_members(stream_) + "}\n";
    } else if (chunk.kind == STACYVM_CHUNK_GAP) {
      out += "{\"stream\":\"stdout\",\"data\":\"\",\"gap_until\":" + std::to_string(chunk.position) + "}\n";
    } else if (chunk.kind == STACYVM_CHUNK_STDOUT || chunk.kind == STACYVM_CHUNK_STDERR) {
      const Halves::Piece piece = halves_.whole(chunk);
      if (!piece.bytes.empty()) out += line_of(piece.stream, piece.bytes);
    }
    return Step::lines;
  }
  /// The last line of a stream that broke.
  void add_error(std::string& out, const stacyvm::Error& error) {
    add_rest(out);
    out += "{\"stream\":\"stderr\",\"data\":\"\",\"error\":{" + error_members(error) + "}}\n";
  }
  int fd() noexcept { return stream_.fd(); }
  void cancel() noexcept { stream_.cancel(); }

 private:
  void add_rest(std::string& out) {
    for (const Halves::Piece& piece : halves_.rest()) out += line_of(piece.stream, piece.bytes);
  }

  const std::shared_ptr<stacyvm::Session> session_;
  stacyvm::Stream stream_;
  Halves halves_;
};

/// False: the client has gone.
bool write_lines(Lines& lines, std::string out, http::Sink& sink) {
  const int fd = lines.fd();
  bool over = false;
  while (!over) {
    try {
      switch (lines.next(out, fd < 0 ? stacyvm::Timeout(kSilence) : stacyvm::Timeout::none())) {
        case Lines::Step::lines:
          if (out.size() < kEnough) continue;  // one write for many short pieces
          break;
        case Lines::Step::over: over = true; break;
        case Lines::Step::none_yet: break;
      }
    } catch (const stacyvm::Error& error) {
      lines.add_error(out, error);
      over = true;
    }
    if (!out.empty()) {
      if (!sink.write(out)) return false;
      out.clear();
      continue;
    }
    if (over) break;
    const Came came = fd < 0 ? Came::silence : wait_for(fd, sink.client(), -1);
    if (came == Came::client_gone || (came == Came::silence && !sink.write("\n"))) return false;
  }
  return true;
}

enum class Leaving : uint8_t { ends_command, detaches };

void stream_lines(http::Exchange& exchange, const Call& call, stacyvm::Stream&& stream, Leaving leaving) {
  auto lines = std::make_shared<Lines>(std::move(stream), call.session);
  std::string first;
  bool over = lines->next(first, kFirst) == Lines::Step::over;
  exchange.stream(200, kType, [lines, first, over, leaving](http::Sink& sink) {
    if (over) return first.empty() || sink.write(first);
    const bool whole = write_lines(*lines, first, sink);
    if (!whole && leaving == Leaving::ends_command) lines->cancel();
    return whole;
  });
}

}  // namespace

void stream_exec(http::Exchange& exchange, const Call& call, const std::string& body) {
  stream_lines(exchange, call, call.session->call_stream("exec.start", call.pairs, body), Leaving::ends_command);
}

void answer_output(http::Exchange& exchange, const Call& call) {
  stream_lines(exchange, call, call.session->call_stream(std::string(call.route.operation), call.pairs, JsonBody(exchange).text()), Leaving::detaches);
}

void answer_start(http::Exchange& exchange, const Call& call) {
  http::Pairs pairs = call.pairs;
  pairs.emplace_back("background", "true");
  const JsonBody json_body(exchange);
  const std::string& body = json_body.text();
  const std::string id = call.session->call_stream("exec.start", pairs, body).exec_id();
  exchange.answer(call.route.status, "application/json", "{\"exec_id\":" + text::json_string(id) + "}\n");
}

}  // namespace serve
