#include "talk.hpp"

#include <chrono>
#include <cstring>
#include <thread>

#include "../text/text.hpp"
#include "output.hpp"
#include "waiting.hpp"

namespace serve {
namespace {

constexpr size_t kMaxReason = 123;
constexpr uint32_t kMostSide = 4'096;  // of a terminal, as the library has it

std::string brief(const std::string& text) { return text.size() <= kMaxReason ? text : text.substr(0, kMaxReason - text::utf8_incomplete(std::string_view(text).substr(0, kMaxReason))); }

/// "SIGINT", "INT", "2". 0: none.
int signal_number(std::string_view text) {
  if (text.starts_with("SIG")) text.remove_prefix(3);
  for (int number = 1; number <= 64; ++number) {
    const char* name = ::sigabbrev_np(number);
    if ((name && text == name) || text == std::to_string(number)) return number;
  }
  return 0;
}

}  // namespace

std::string member(const Members& members, const char* name) {
  const auto found = members.find(name);
  return found == members.end() ? std::string() : found->second;
}

void end_with(http::Socket& socket, const stacyvm::Error& error) {
  (void)socket.send_text("{\"type\":\"error\"," + error_members(error) + '}');
  socket.close(error.code() == STACYVM_E_INVALID ? kPolicy : kInternal, brief(error.what()));
}

void end_with(http::Socket& socket, int code, const char* message) {
  (void)socket.send_text(std::string("{\"type\":\"error\",\"code\":\"BAD_REQUEST\",\"message\":\"") + message + "\"}");
  socket.close(code, message);
}

void Talk::run(const Voices& voices) {
  std::thread teller([&] {
    if (tell(voices) == Told::half) return;  // the client ends it
    // The client has some time to answer the end.
    std::unique_lock lock(ended_mutex_);
    if (!ended_.wait_for(lock, kFarewell, [&] { return listened_; })) socket_.abort();
  });
  listen(voices);
  {
    const std::lock_guard lock(ended_mutex_);
    listened_ = true;
  }
  ended_.notify_all();
  socket_.abort();  // the teller may wait for the command, or for the client to take something
  teller.join();
}

void Talk::write(std::string_view bytes) {
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

void Talk::finish() {
  const std::lock_guard turn(turn_);
  stream_.finish(stacyvm::Timeout::none());
}

bool Talk::steer(const Members& frame) {
  const std::string type = member(frame, "type");
  if (type == "resize") {
    const auto side = [&](const char* name) {
      const std::string text = member(frame, name);
      return text.empty() || text.size() > 4 || text.find_first_not_of("0123456789") != std::string::npos ? 0u : static_cast<uint32_t>(std::stoul(text));
    };
    const uint32_t rows = side("rows"), cols = side("cols");
    if (rows == 0 || cols == 0 || rows > kMostSide || cols > kMostSide) return false;
    stream_.resize(rows, cols);
    return true;
  }
  if (type == "signal") {
    const int number = signal_number(member(frame, "signal"));
    if (number == 0) return false;
    stream_.signal(number, member(frame, "group") == "true" ? STACYVM_SIGNAL_GROUP : 0);
    return true;
  }
  return false;
}

Talk::Told Talk::tell(const Voices& voices) {
  const auto close = [&](int code, const char* why) {
    socket_.close(code, why);
    return Told::all;
  };
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
          said = voices.say(chunk);
        }
      }
      if (!said) break;
      if (next == stacyvm::Stream::Next::end) {
        if (voices.over && !voices.over()) return Told::half;
        return close(kNormal, "");
      }
      if (next == stacyvm::Stream::Next::chunk) continue;
      const Came came = wait_for(readable_, socket_.client(), socket_.stop());
      if (came == Came::stopping) return close(kGoingAway, "the server ends");
      if (came == Came::client_gone) break;
    }
  } catch (const stacyvm::Error& error) {
    end_with(socket_, error);
    return Told::all;
  } catch (const std::exception&) {
    return close(kInternal, "internal error");
  }
  if (leaving_ == Leaving::ends_command) stream_.cancel();
  return Told::all;
}

void Talk::listen(const Voices& voices) {
  std::string message;
  try {
    for (http::Socket::Kind kind; (kind = socket_.read(message)) != http::Socket::Kind::closed;) {
      try {
        if (!voices.take(kind, message)) return;
      } catch (const stacyvm::Error&) {
        // The command ends or has ended, or takes no input: the other thread tells its end.
      }
    }
  } catch (const std::exception&) {
    socket_.close(kInternal, "internal error");
  }
}

}  // namespace serve
