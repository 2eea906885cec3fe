// WebSockets: a command with its input, window and signals; a background command; a connection into the sandbox. The connection's own thread reads what the
// client says, a second one writes what the sandbox says.
#include <condition_variable>
#include <cstring>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>

#include "../text/text.hpp"
#include "forms.hpp"
#include "json.hpp"
#include "output.hpp"
#include "waiting.hpp"

namespace serve {
namespace {

// RFC 6455 section 7.4.1.
constexpr int kNormal = 1000, kGoingAway = 1001, kInvalid = 1007, kPolicy = 1008, kInternal = 1011;
constexpr size_t kMaxReason = 123;
constexpr uint32_t kMostSide = 4'096;  // of a terminal, as the library has it

using Members = std::map<std::string, std::string>;

std::string member(const Members& members, const char* name) {
  const auto found = members.find(name);
  return found == members.end() ? std::string() : found->second;
}

std::string brief(const std::string& text) { return text.size() <= kMaxReason ? text : text.substr(0, kMaxReason - text::utf8_incomplete(std::string_view(text).substr(0, kMaxReason))); }

void end_with(http::Socket& socket, const stacyvm::Error& error) {
  (void)socket.send_text("{\"type\":\"error\"," + error_members(error) + '}');
  socket.close(error.code() == STACYVM_E_INVALID ? kPolicy : kInternal, brief(error.what()));
}

void end_with(http::Socket& socket, int code, const char* message) {
  (void)socket.send_text(std::string("{\"type\":\"error\",\"code\":\"BAD_REQUEST\",\"message\":\"") + message + "\"}");
  socket.close(code, message);
}

/// "SIGINT", "INT", "2". 0: none.
int signal_number(std::string_view text) {
  if (text.starts_with("SIG")) text.remove_prefix(3);
  for (int number = 1; number <= 64; ++number) {
    const char* name = ::sigabbrev_np(number);
    if ((name && text == name) || text == std::to_string(number)) return number;
  }
  return 0;
}

/// {"type": "stdout", "data": TEXT}, with "data_base64" instead where the bytes are no text.
std::string frame_of(const Halves::Piece& piece) {
  const std::string start = "{\"type\":\"" + std::string(piece.stream) + "\",\"data";
  return text::is_utf8(piece.bytes) ? start + "\":" + text::json_string(piece.bytes) + '}' : start + "_base64\":\"" + text::base64(piece.bytes) + "\"}";
}

/// One conversation: the connection's thread runs listen(), another one tell(). A stream takes one call at a time, so they take turns at it, and wait
/// outside.
class Talk {
 public:
  enum class Leaving : uint8_t { ends_command, detaches };
  Talk(http::Socket& socket, stacyvm::Stream& stream, Leaving leaving)
      : socket_(socket), stream_(stream), leaving_(leaving), readable_(stream.fd()), writable_(stream.fd(true)) {}

  /// `say`: sends a chunk; false: the client takes nothing. `take`: acts on a message; false: it is none that we know, and the client was told.
  void run(const std::function<bool(const stacyvm_chunk&)>& say, const std::function<bool(http::Socket::Kind, const std::string&)>& take) {
    std::thread teller([&] {
      tell(say);
      // The client has some time to answer the end.
      std::unique_lock lock(ended_mutex_);
      if (!ended_.wait_for(lock, kFarewell, [&] { return listened_; })) socket_.abort();
    });
    listen(take);
    {
      const std::lock_guard lock(ended_mutex_);
      listened_ = true;
    }
    ended_.notify_all();
    socket_.abort();  // the teller may wait for the command, or for the client to take something
    teller.join();
  }

  /// All of it, unless the client goes or the command takes no more.
  void write(std::string_view bytes) {
    while (!bytes.empty()) {
      size_t taken;
      {
        const std::lock_guard turn(turn_);
        taken = stream_.write(bytes, stacyvm::Timeout::none());
      }
      bytes.remove_prefix(taken);
      if (taken == 0 && wait_for(writable_, socket_.client(), -1) == Came::client_gone) return;
    }
  }
  void finish() {
    const std::lock_guard turn(turn_);
    stream_.finish(stacyvm::Timeout::none());
  }
  stacyvm::Stream& stream() noexcept { return stream_; }  // for what may be called at any time

 private:
  static constexpr std::chrono::seconds kFarewell{5};

  void tell(const std::function<bool(const stacyvm_chunk&)>& say) {
    try {
      for (;;) {
        stacyvm::Stream::Next next;
        bool said = true;
        {
          stacyvm_chunk chunk;
          std::unique_lock turn(turn_);
          next = stream_.next(chunk, stacyvm::Timeout::none());
          if (next == stacyvm::Stream::Next::chunk) {
            // What it points to is there until the next call: its bytes are taken along.
            const std::string bytes(static_cast<const char*>(chunk.data), chunk.size);
            turn.unlock();
            chunk.data = bytes.data();
            said = say(chunk);
          }
        }
        if (!said) break;
        if (next == stacyvm::Stream::Next::end) return socket_.close(kNormal, "");
        if (next == stacyvm::Stream::Next::chunk) continue;
        const Came came = wait_for(readable_, socket_.client(), socket_.stop());
        if (came == Came::stopping) return socket_.close(kGoingAway, "the server ends");
        if (came == Came::client_gone) break;
      }
    } catch (const stacyvm::Error& error) {
      return end_with(socket_, error);
    } catch (const std::exception&) {
      return socket_.close(kInternal, "internal error");
    }
    if (leaving_ == Leaving::ends_command) stream_.cancel();
  }

  void listen(const std::function<bool(http::Socket::Kind, const std::string&)>& take) {
    std::string message;
    try {
      for (http::Socket::Kind kind; (kind = socket_.read(message)) != http::Socket::Kind::closed;) {
        try {
          if (!take(kind, message)) return;
        } catch (const stacyvm::Error&) {
          // The command ends or has ended, or takes no input: the other thread tells its end.
        }
      }
    } catch (const std::exception&) {
      socket_.close(kInternal, "internal error");
    }
  }

  http::Socket& socket_;
  stacyvm::Stream& stream_;
  const Leaving leaving_;
  const int readable_, writable_;
  std::mutex turn_;  // at stream_
  std::mutex ended_mutex_;
  std::condition_variable ended_;
  bool listened_ = false;
};

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
  if (type == "resize") {
    const auto side = [&](const char* name) {
      const std::string text = member(frame, name);
      return text.empty() || text.size() > 4 || text.find_first_not_of("0123456789") != std::string::npos ? 0u : static_cast<uint32_t>(std::stoul(text));
    };
    const uint32_t rows = side("rows"), cols = side("cols");
    if (rows == 0 || cols == 0 || rows > kMostSide || cols > kMostSide) return false;
    talk.stream().resize(rows, cols);
    return true;
  }
  if (type == "signal") {
    const int number = signal_number(member(frame, "signal"));
    if (number == 0) return false;
    talk.stream().signal(number, member(frame, "group") == "true" ? STACYVM_SIGNAL_GROUP : 0);
    return true;
  }
  return false;
}

void talk_to_command(http::Socket& socket, stacyvm::Stream& stream, Talk::Leaving leaving) {
  if (stream.fd() < 0 || stream.fd(true) < 0) return end_with(socket, kInternal, "no descriptors are left");
  Talk talk(socket, stream, leaving);
  Halves halves;
  talk.run(
      [&](const stacyvm_chunk& chunk) {
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
      [&](http::Socket::Kind kind, const std::string& message) {
        if (kind == http::Socket::Kind::binary) {
          talk.write(message);
          return true;
        }
        const auto frame = frame_members(message);
        if (frame && obey(talk, *frame)) return true;
        end_with(socket, frame ? kPolicy : kInvalid, "a frame is stdin (data or data_base64, eof), resize (rows and cols, 1 to 4,096) or signal (signal, group)");
        return false;
      });
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
    talk.run([&](const stacyvm_chunk& chunk) { return socket.send_binary({static_cast<const char*>(chunk.data), chunk.size}); },
             [&](http::Socket::Kind, const std::string& message) {
               talk.write(message);
               return true;
             });
  } catch (const stacyvm::Error& error) {
    end_with(socket, error);
  }
}

}  // namespace serve
