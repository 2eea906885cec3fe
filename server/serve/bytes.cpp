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

/// All that the route's operation streams. Its first piece is waited for: what cannot be read is an ordinary error.
void stream_bytes(http::Exchange& exchange, const Call& call, const char* type) {
  auto stream = std::make_shared<stacyvm::Stream>(call.session->call_stream(std::string(call.route.operation), call.pairs));
  stacyvm_chunk chunk;
  const auto next = stream->next(chunk);
  if (next == stacyvm::Stream::Next::end) return exchange.answer(200, type, "");
  const std::string first(static_cast<const char*>(chunk.data), chunk.size);
  exchange.stream(200, type, [stream, first, session = call.session](http::Sink& sink) { return (first.empty() || sink.write(first)) && pass_all(*stream, sink); });
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
    return stream_bytes(exchange, call, kBytes);
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
  stream_bytes(exchange, call, "application/x-tar");
}

void answer_upload(http::Exchange& exchange, const Call& call) {
  stacyvm::Stream stream = call.session->call_stream(std::string(call.route.operation), call.pairs);
  uint64_t size = 0;
  require_whole(exchange, exchange.read_body([&](std::string_view piece) {
    size += piece.size();
    while (!piece.empty()) piece.remove_prefix(stream.write(piece));
    return true;
  }));
  stream.finish();
  exchange.answer(call.route.status, "application/json", "{\"status\":\"written\",\"bytes\":" + std::to_string(size) + "}\n");
}

}  // namespace serve
