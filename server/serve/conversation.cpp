// WebSockets for people's clients: a command with its input, window and signals; a background command; a connection into the sandbox.
#include <string>

#include "../text/text.hpp"
#include "forms.hpp"
#include "json.hpp"
#include "output.hpp"
#include "talk.hpp"

namespace serve {
namespace {

/// {"type": "stdout", "data": TEXT}, with "data_base64" instead where the bytes are no text.
std::string frame_of(const Halves::Piece& piece) {
  const std::string start = "{\"type\":\"" + std::string(piece.stream) + "\",\"data";
  return text::is_utf8(piece.bytes) ? start + "\":" + text::json_string(piece.bytes) + '}' : start + "_base64\":\"" + text::base64(piece.bytes) + "\"}";
}

/// What the client asks of a running command. False: no frame that we know.
bool obey(Talk& talk, const Members& frame) {
  const std::string type = member(frame, "type");
  if (type == "stdin") {
    const auto bytes = text::from_base64(member(frame, "data_base64"));
    if (!bytes) return false;
    talk.write(member(frame, "data"));
    talk.write(*bytes);
    if (member(frame, "eof") == "true") talk.finish();
    return true;
  }
  return talk.steer(frame);
}

void talk_to_command(http::Socket& socket, stacyvm::Stream& stream, Talk::Leaving leaving) {
  if (stream.fd() < 0 || stream.fd(true) < 0) return end_with(socket, kInternal, "no descriptors are left");
  Talk talk(socket, stream, leaving);
  Halves halves;
  talk.run({
      .say = [&](const stacyvm_chunk& chunk) {
        if (chunk.kind == STACYVM_CHUNK_STDOUT || chunk.kind == STACYVM_CHUNK_STDERR) {
          const Halves::Piece piece = halves.whole(chunk);
          return piece.bytes.empty() || socket.send_text(frame_of(piece));
        }
        if (chunk.kind == STACYVM_CHUNK_GAP) return socket.send_text("{\"type\":\"gap\",\"until\":" + std::to_string(chunk.position) + '}');
        if (chunk.kind != STACYVM_CHUNK_EXIT) return true;
        for (const Halves::Piece& piece : halves.rest())
          if (!socket.send_text(frame_of(piece))) return false;
        return socket.send_text("{\"type\":\"exit\"," + end_members(stream) + '}');
      },
      .take = [&](http::Socket::Kind kind, const std::string& message) {
        if (kind == http::Socket::Kind::binary) {
          talk.write(message);
          return true;
        }
        const auto frame = frame_members(message);
        if (frame && obey(talk, *frame)) return true;
        end_with(socket, frame ? kPolicy : kInvalid, "a frame is stdin (data or data_base64, eof), resize (rows and cols, 1 to 4,096) or signal (signal, group)");
        return false;
      },
      .over = {}});
}

}  // namespace

void talk_terminal(http::Socket& socket, const Call& call) {
  std::string start;
  if (socket.read(start) == http::Socket::Kind::closed) return;
  const auto frame = frame_members(start);
  if (!frame) return end_with(socket, kInvalid, "the first frame is no JSON object");
  if (member(*frame, "type") != "start") return end_with(socket, kPolicy, "the first frame is not of type start");
  try {
    http::Pairs pairs = call.pairs;
    pairs.emplace_back("use_stdin", "true");
    stacyvm::Stream stream = call.session->call_stream("exec.start", pairs, start);
    talk_to_command(socket, stream, Talk::Leaving::ends_command);
  } catch (const stacyvm::Error& error) {
    end_with(socket, error);
  }
}

void talk_attached(http::Socket& socket, const Call& call) {
  try {
    stacyvm::Stream stream = call.session->call_stream("exec.attach", call.pairs);
    talk_to_command(socket, stream, Talk::Leaving::detaches);
  } catch (const stacyvm::Error& error) {
    end_with(socket, error);
  }
}

void talk_port(http::Socket& socket, const Call& call) {
  try {
    stacyvm::Stream stream = call.session->call_stream("port.dial", call.pairs);
    if (stream.fd() < 0 || stream.fd(true) < 0) return end_with(socket, kInternal, "no descriptors are left");
    Talk talk(socket, stream, Talk::Leaving::ends_command);
    talk.run({.say = [&](const stacyvm_chunk& chunk) { return socket.send_binary({static_cast<const char*>(chunk.data), chunk.size}); },
              .take = [&](http::Socket::Kind, const std::string& message) {
                talk.write(message);
                return true;
              },
              .over = {}});
  } catch (const stacyvm::Error& error) {
    end_with(socket, error);
  }
}

}  // namespace serve
