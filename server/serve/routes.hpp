// The table of routes: which operation of the library a method and path stand for, and in which form its answer travels. Data only.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace serve {

/// How a route's answer, or its request, travels.
enum class Form : uint8_t {
  json,         // a JSON answer; a body is JSON
  destroy,      // the same, also for what is gone already
  ready,        // the same as json, with 503 where the answer's status is not "ready"
  exec,         // the same as json, or with "stream": true NDJSON
  text,         // an answer that is text, of the type that the route names
  start,        // a background command: its id
  output,       // NDJSON: a background command's output, or the console
  terminal,     // WebSocket: a command, its input, output, window and signals
  attach,       // WebSocket: the same of a background command
  port,         // WebSocket: bytes of a connection into the sandbox
  events,       // server-sent events with ids
  watch,        // server-sent events
  download,     // bytes of a file, or ranges of them
  upload,       // bytes for a file
  tar_download,
  tar_upload,
  operation,    // any unary operation, as the library itself takes and answers it
  operation_stream,  // WebSocket: any other one
  openapi,      // what this server is, in OpenAPI
  docs,         // a page that shows it
};

enum class Access : uint8_t { caller, admin, open };

struct Route {
  std::string_view method, path;  // "/api/v1/sandboxes/{id}": {NAME} is one segment, and the operation's parameter of that name
  std::string_view operation;     // "" for what the server itself answers
  Form form = Form::json;
  int status = 200;
  Access access = Access::caller;
};

std::span<const Route> routes() noexcept;

/// A route by which callers reach the operation; nullptr: none does, and so it is not theirs.
const Route* route_of(std::string_view operation) noexcept;

struct Match {
  const Route* route = nullptr;
  std::vector<std::pair<std::string, std::string>> pairs;  // of the path
  bool malformed = false;    // the path cannot be decoded
  std::string allowed;       // no route, but other methods have one: "GET, HEAD, POST, OPTIONS"
};
/// The route of a request. `path` is percent-encoded: a segment is decoded after the path is taken apart, so that no encoded slash is one. HEAD matches
/// GET's. A slash at the end is ignored.
Match find_route(std::string_view method, std::string_view path);

}  // namespace serve
