// Server-sent events (WHATWG HTML, section 9.2): what happens to sandboxes, and to files.
#include <charconv>
#include <memory>
#include <string>

#include "forms.hpp"
#include "waiting.hpp"

namespace serve {
namespace {

constexpr const char* kType = "text/event-stream";

/// The number of "evt-12" or "12"; nothing for anything else.
std::optional<int64_t> number_of(std::string_view id) {
  if (id.starts_with("evt-")) id.remove_prefix(4);
  int64_t number = 0;
  const auto [end, error] = std::from_chars(id.data(), id.data() + id.size(), number);
  if (error != std::errc() || end != id.data() + id.size() || number < 0) return std::nullopt;
  return number;
}

class Events {
 public:
  Events(stacyvm::Stream&& stream, std::shared_ptr<stacyvm::Session> session, bool ids) : session_(std::move(session)), stream_(std::move(stream)), ids_(ids) {}

  /// Until the client goes, the server ends, or nothing more can come.
  bool write(http::Sink& sink) {
    if (!sink.write(": connected\n\n")) return false;
    const int fd = stream_.fd();
    for (;;) {
      stacyvm_chunk chunk;
      try {
        const auto next = stream_.next(chunk, fd < 0 ? stacyvm::Timeout(kSilence) : stacyvm::Timeout::none());
        if (next == stacyvm::Stream::Next::end) return true;
        if (next == stacyvm::Stream::Next::chunk) {
          if (chunk.kind == STACYVM_CHUNK_EVENT && !sink.write(frame(chunk))) return false;
          continue;
        }
      } catch (const stacyvm::Error&) {
        return true;  // the client asks again, and is answered with what is wrong
      }
      switch (fd < 0 ? Came::silence : wait_for(fd, sink.client(), sink.stop())) {
        case Came::ready: break;
        case Came::silence:
          if (!sink.write(": keep-alive\n\n")) return false;
          break;
        case Came::client_gone: return false;
        case Came::stopping: return true;
      }
    }
  }

 private:
  std::string frame(const stacyvm_chunk& chunk) const {
    std::string text = ids_ ? "id: evt-" + std::to_string(chunk.position) + '\n' : std::string();
    return text + "data: " + std::string(static_cast<const char*>(chunk.data), chunk.size) + "\n\n";
  }

  const std::shared_ptr<stacyvm::Session> session_;
  stacyvm::Stream stream_;
  const bool ids_;
};

void stream_events(http::Exchange& exchange, const Call& call, stacyvm::Stream&& stream, bool ids) {
  auto events = std::make_shared<Events>(std::move(stream), call.session, ids);
  exchange.set_header("X-Accel-Buffering", "no");
  exchange.stream(200, kType, [events](http::Sink& sink) { return events->write(sink); });
}

}  // namespace

void answer_events(http::Exchange& exchange, const Call& call) {
  http::Pairs pairs = call.pairs;
  const bool asked = std::any_of(pairs.begin(), pairs.end(), [](const auto& pair) { return pair.first == "after"; });
  const std::string last = exchange.header("Last-Event-ID");
  if (!asked) pairs.emplace_back("after", "-1");
  if (asked || last.empty()) return stream_events(exchange, call, call.session->call_stream("event.follow", pairs), true);
  // A browser that comes back. What it remembers may be another state's: then it is told all that is known, for it cannot be asked what it has.
  try {
    pairs.back().second = std::to_string(number_of(last).value_or(0));
    stream_events(exchange, call, call.session->call_stream("event.follow", pairs), true);
  } catch (const stacyvm::Error& error) {
    if (error.code() != STACYVM_E_INVALID || pairs.back().second == "0") throw;
    pairs.back().second = "0";
    stream_events(exchange, call, call.session->call_stream("event.follow", pairs), true);
  }
}

void answer_watch(http::Exchange& exchange, const Call& call) { stream_events(exchange, call, call.session->call_stream("file.watch", call.pairs), false); }

}  // namespace serve
