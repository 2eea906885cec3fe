// Files and trees as bytes, of any size, in as much memory as one piece needs.
#include <memory>
#include <string>

#include "../text/text.hpp"
#include "forms.hpp"
#include "json.hpp"
#include "waiting.hpp"

namespace serve {
namespace {

constexpr const char* kBytes = "application/octet-stream";

/// All that a stream gives. Throws what ended it. False: the client has gone.
bool pass(stacyvm::Stream& stream, http::Sink& sink) {
  const int fd = stream.fd();
  stacyvm_chunk chunk;
  for (;;) {
    switch (stream.next(chunk, fd < 0 ? stacyvm::Timeout(kSilence) : stacyvm::Timeout::none())) {
      case stacyvm::Stream::Next::chunk:
        if (chunk.size > 0 && !sink.write({static_cast<const char*>(chunk.data), chunk.size})) return false;
        break;
      case stacyvm::Stream::Next::end: return true;
      case stacyvm::Stream::Next::again:
        if (fd >= 0 && wait_for(fd, sink.client(), -1) == Came::client_gone) return false;
    }
  }
}

/// False when a stream broke, too: the answer has begun, and its end must not look like one.
bool pass_all(stacyvm::Stream& stream, http::Sink& sink) {
  try {
    return pass(stream, sink);
  } catch (const stacyvm::Error&) {
    return false;
  }
}

struct Info {
  uint64_t size = 0;
  std::string etag;
  bool file = false;
};

Info info_of(const Call& call) {
  http::Pairs pairs;
  for (const auto& pair : call.pairs)
    if (pair.first == "id" || pair.first.starts_with("path") || pair.first == "user") pairs.push_back(pair);
  const auto members = frame_members(call.session->call("file.stat", pairs)).value_or(std::map<std::string, std::string>());
  const auto member = [&](const char* name) {
    const auto found = members.find(name);
    return found == members.end() ? std::string() : found->second;
  };
  Info info;
  info.file = member("type") == "file";
  info.size = std::stoull("0" + member("size"));
  info.etag = '"' + member("inode") + '-' + member("size") + '-' + member("mod_time") + '"';
  return info;
}

}  // namespace

void answer_download(http::Exchange& exchange, const Call& call) {
  const Info info = info_of(call);
  const auto open = [call](uint64_t offset, uint64_t length) {
    http::Pairs pairs = call.pairs;
    pairs.emplace_back("offset", std::to_string(offset));
    pairs.emplace_back("length", std::to_string(length));
    return call.session->call_stream("file.read", pairs);
  };
  if (!info.file || info.size == 0) {
    // What has no size (a file of /proc), or is none: read, and see.
    auto stream = std::make_shared<stacyvm::Stream>(call.session->call_stream("file.read", call.pairs));
    stacyvm_chunk chunk;
    const auto next = stream->next(chunk);
    const std::string first = next == stacyvm::Stream::Next::chunk ? std::string(static_cast<const char*>(chunk.data), chunk.size) : std::string();
    if (next == stacyvm::Stream::Next::end) return exchange.answer(200, kBytes, "");
    return exchange.stream(200, kBytes, [stream, first, session = call.session](http::Sink& sink) { return sink.write(first) && pass_all(*stream, sink); });
  }
  exchange.set_header("ETag", info.etag);
  exchange.set_header("Accept-Ranges", "bytes");
  exchange.ranges(kBytes, info.size, [open](uint64_t offset, uint64_t length, http::Sink& sink) {
    try {
      stacyvm::Stream stream = open(offset, length);
      return pass_all(stream, sink);
    } catch (const stacyvm::Error&) {
      return false;
    }
  });
}

void answer_tar_download(http::Exchange& exchange, const Call& call) {
  auto stream = std::make_shared<stacyvm::Stream>(call.session->call_stream("file.tar_get", call.pairs));
  stacyvm_chunk chunk;
  const auto next = stream->next(chunk);  // what cannot be read is an ordinary error
  const std::string first = next == stacyvm::Stream::Next::chunk ? std::string(static_cast<const char*>(chunk.data), chunk.size) : std::string();
  exchange.stream(200, "application/x-tar", [stream, first, session = call.session](http::Sink& sink) {
    return (first.empty() || sink.write(first)) && pass_all(*stream, sink);
  });
}

void answer_upload(http::Exchange& exchange, const Call& call) {
  stacyvm::Stream stream = call.session->call_stream(std::string(call.route.operation), call.pairs);
  uint64_t size = 0;
  const auto body = exchange.read_body([&](std::string_view piece) {
    size += piece.size();
    while (!piece.empty()) piece.remove_prefix(stream.write(piece));
    return true;
  });
  switch (body) {
    case http::Exchange::Body::whole: break;
    case http::Exchange::Body::too_large:
    case http::Exchange::Body::malformed: throw Refused(400, "BAD_REQUEST", "the body is not chunked as it should be");
    case http::Exchange::Body::late: throw Refused(408, "TIMEOUT", "the body did not come in time");
    case http::Exchange::Body::closed: throw incomplete_body(exchange);
  }
  stream.finish();
  exchange.answer(call.route.status, "application/json", "{\"status\":\"written\",\"bytes\":" + std::to_string(size) + "}\n");
}

}  // namespace serve
