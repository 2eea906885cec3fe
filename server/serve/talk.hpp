// A stream of the library's behind a WebSocket: what every such conversation has in common. The connection's own thread reads what the client says, a second
// one writes what the sandbox says.
#pragma once
#include <stacyvm/stacyvm.hpp>

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>

#include "../http/exchange.hpp"

namespace serve {

// RFC 6455 section 7.4.1.
inline constexpr int kNormal = 1000, kGoingAway = 1001, kInvalid = 1007, kPolicy = 1008, kInternal = 1011;

using Members = std::map<std::string, std::string>;  // of a frame
std::string member(const Members& members, const char* name);

/// Tells an error as a frame, and ends the conversation.
void end_with(http::Socket& socket, const stacyvm::Error& error);
void end_with(http::Socket& socket, int code, const char* message);

/// A stream takes one call at a time, so the two threads take turns at it, and wait outside.
class Talk {
 public:
  /// What becomes of a command whose client goes without a word.
  enum class Leaving : uint8_t { ends_command, detaches };
  Talk(http::Socket& socket, stacyvm::Stream& stream, Leaving leaving)
      : socket_(socket), stream_(stream), leaving_(leaving), readable_(stream.fd()), writable_(stream.fd(true)) {}

  struct Voices {
    /// Sends a chunk; false: the client takes nothing.
    std::function<bool(const stacyvm_chunk&)> say;
    /// Acts on a message; false: it is none that we know, and the client was told.
    std::function<bool(http::Socket::Kind, const std::string&)> take;
    /// Says that the sandbox has no more to say; true: the conversation is over, false: the client may still speak. Empty: it is over.
    std::function<bool()> over;
  };
  void run(const Voices& voices);

  /// All of it, unless the client goes or the command takes no more.
  void write(std::string_view bytes);
  void finish();
  /// {"type": "resize" | "signal" ...}: for a running command. False: no frame of these, or not a proper one.
  bool steer(const Members& frame);
  stacyvm::Stream& stream() noexcept { return stream_; }  // for what may be called at any time

 private:
  static constexpr std::chrono::seconds kFarewell{5};
  enum class Told : uint8_t { all, half };
  Told tell(const Voices& voices);
  void listen(const Voices& voices);

  http::Socket& socket_;
  stacyvm::Stream& stream_;
  const Leaving leaving_;
  const int readable_, writable_;
  std::mutex turn_;  // at stream_
  std::mutex ended_mutex_;
  std::condition_variable ended_;
  bool listened_ = false;
};

}  // namespace serve
