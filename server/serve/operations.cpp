// Every operation under its own name, for the library on the other side: what it would be told here it is told there, whole.
#include <atomic>
#include <string>

#include "../text/text.hpp"
#include "forms.hpp"
#include "json.hpp"
#include "output.hpp"
#include "talk.hpp"

namespace serve {
namespace {

/// The operation that the path names, and the other parameters.
std::string split(const Call& call, http::Pairs& pairs) {
  std::string operation;
  bool found = false;
  for (const auto& pair : call.pairs) {
    if (!found && pair.first == "operation") {
      found = true;  // that of the path comes first
      operation = pair.second;
    } else {
      pairs.push_back(pair);
    }
  }
  return operation;
}

/// Kind, position, bytes.
std::string chunk_of(const stacyvm_chunk& chunk) {
  std::string message(1, static_cast<char>(chunk.kind));
  const auto position = static_cast<uint64_t>(chunk.position);
  for (int shift = 56; shift >= 0; shift -= 8) message += static_cast<char>(position >> shift);
  return message.append(static_cast<const char*>(chunk.data), chunk.size);
}

/// False: no frame that we know.
bool obey(Talk& talk, const Members& frame) {
  const std::string type = member(frame, "type");
  if (type == "finish") {
    talk.finish();
  } else if (type == "cancel") {
    talk.stream().cancel();
  } else {
    return talk.steer(frame);
  }
  return true;
}

}  // namespace

void answer_operation(http::Exchange& exchange, const Call& call) {
  http::Pairs pairs;
  const std::string operation = split(call, pairs);
  const Route* route = route_of(operation);
  if (!route) throw Refused(404, "NOT_FOUND", "no such operation");
  const char* type = route->form == Form::text ? "text/plain; version=0.0.4; charset=utf-8" : "application/json";
  exchange.answer(200, type, result_of(exchange, call, operation, pairs, JsonBody(exchange).text()) + '\n');
}

void talk_operation(http::Socket& socket, const Call& call) {
  http::Pairs pairs;
  const std::string operation = split(call, pairs);
  std::string request;
  if (socket.read(request) == http::Socket::Kind::closed) return;
  if (!route_of(operation)) {
    (void)socket.send_text(R"({"type":"error","code":"NOT_FOUND","message":"no such operation"})");
    return socket.close(kPolicy, "no such operation");
  }
  try {
    stacyvm::Stream stream = call.session->call_stream(operation, pairs, request);
    if (stream.fd() < 0) return end_with(socket, kInternal, "no descriptors are left");
    const std::string exec_id = stream.exec_id();
    if (!socket.send_text(R"({"type":"started","exec_id":)" + text::json_string(exec_id) + '}')) return;
    const bool port = stream.kind() == STACYVM_STREAM_PORT, command = stream.kind() == STACYVM_STREAM_EXEC;
    std::atomic<bool> over = false;  // the other side of a port sends no more
    // A client that goes without a word has closed its handle.
    Talk talk(socket, stream, Talk::Leaving::detaches);
    talk.run({
        .say = [&](const stacyvm_chunk& chunk) {
          if (chunk.kind == STACYVM_CHUNK_GAP) return socket.send_text("{\"type\":\"gap\",\"position\":" + std::to_string(chunk.position) + '}');
          if (chunk.kind == STACYVM_CHUNK_EXIT) return socket.send_text("{\"type\":\"exit\"," + end_members(stream) + '}');
          return socket.send_binary(chunk_of(chunk));
        },
        .take = [&](http::Socket::Kind kind, const std::string& message) {
          if (kind == http::Socket::Kind::binary) {
            try {
              talk.write(message);
            } catch (const stacyvm::Error& error) {
              if (!over) throw;  // the other thread tells it
              end_with(socket, error);
              return false;
            }
            return true;
          }
          const auto frame = frame_members(message);
          if (frame && obey(talk, *frame)) return true;
          end_with(socket, frame ? kPolicy : kInvalid, "a frame is finish, cancel, resize (rows and cols, 1 to 4,096) or signal (signal, group)");
          return false;
        },
        .over = [&] {
          if (command) return true;  // it has said exit
          over = port;
          (void)socket.send_text(port ? R"({"type":"half"})" : R"({"type":"end"})");
          return !port;
        }});
  } catch (const stacyvm::Error& error) {
    end_with(socket, error);
  }
}

}  // namespace serve
