// The agent's end of a channel, played by the test: blocking reads and writes of whole frames over a socketpair.
#pragma once
#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <atomic>
#include <chrono>
#include <algorithm>
#include <future>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "channel/channel.hpp"
#include "core/bytes.hpp"

namespace svm::channel::test {

using protocol::DataKind;
using protocol::Frame;
using protocol::FrameType;

constexpr int kPatience = 20;  // seconds after which a test that waits has failed

struct OwnedFrame {
  FrameType type{};
  DataKind kind{};
  uint32_t stream = 0;
  std::string payload;
  uint32_t number() const {
    ByteReader reader(payload);
    return reader.u32();
  }
};

class Peer {
 public:
  explicit Peer(Fd socket) : socket_(std::move(socket)) {
    const timeval patience{kPatience, 0};
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  }

  /// The next frame; nothing at end of file. Throws when none comes.
  std::optional<OwnedFrame> read() {
    for (;;) {
      Frame frame;
      size_t used = 0;
      const auto status = decode_frame(buffer_, frame, used);
      if (status == protocol::DecodeStatus::malformed) throw std::runtime_error("the host sent a malformed frame");
      if (status == protocol::DecodeStatus::frame) {
        OwnedFrame owned{frame.type, frame.kind, frame.stream, std::string(frame.payload)};
        buffer_.erase(0, used);
        return owned;
      }
      char bytes[65536];
      const ssize_t n = ::recv(socket_.get(), bytes, sizeof bytes, 0);
      if (n == 0 || (n < 0 && errno == ECONNRESET)) return std::nullopt;
      if (n < 0) throw std::runtime_error("the host sent nothing");
      buffer_.append(bytes, static_cast<size_t>(n));
    }
  }
  OwnedFrame expect(FrameType type) {
    auto frame = read();
    if (!frame) throw std::runtime_error("the host closed the connection");
    if (frame->type != type)
      throw std::runtime_error("frame " + std::to_string(int(frame->type)) + " instead of " + std::to_string(int(type)));
    return std::move(*frame);
  }
  void expect_end_of_file() {
    while (read()) continue;
  }

  bool send_raw(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n < 0) return false;
      bytes.remove_prefix(static_cast<size_t>(n));
    }
    return true;
  }
  bool send(FrameType type, uint32_t stream, std::string_view payload = {}, DataKind kind = DataKind::bytes) {
    std::string frame;
    encode_frame(frame, type, stream, payload, kind);
    return send_raw(frame);
  }
  bool send_number(FrameType type, uint32_t stream, uint32_t number) {
    std::string payload;
    ByteWriter(payload).u32(number);
    return send(type, stream, payload);
  }
  bool send_ready() {
    std::string payload;
    encode(payload, protocol::Ready{.version = protocol::kVersion, .enforced = 5, .landlock_abi = 7});
    return send(FrameType::ready, 0, payload);
  }
  bool send_result(uint32_t stream, std::string body = {}) {
    std::string payload;
    encode(payload, protocol::Result{Code::ok, 0, {}, std::move(body)});
    return send(FrameType::result, stream, payload);
  }
  void hang_up() { socket_.reset(); }
  int fd() const { return socket_.get(); }

 private:
  Fd socket_;
  std::string buffer_;
};

inline protocol::Hello hello() {
  return {.version = protocol::kVersion, .uid = 1000, .gid = 1000, .home = "/home", .workdir = "/work"};
}
inline std::string stat_payload() {
  std::string payload;
  encode(payload, protocol::StatRequest{.path = "/file"});
  return payload;
}
inline std::string exec_payload() {
  std::string payload;
  encode(payload, protocol::ExecRequest{.argv = {"true"}});
  return payload;
}

/// A reactor, a channel and its peer.
struct Wire {
  explicit Wire(bool ready = true) : peer(connect()) {
    peer.expect(FrameType::hello);
    if (!ready) return;
    peer.send_ready();
    opened.get_future().wait();
  }
  ~Wire() {
    if (channel) channel->close();
    reactor.stop();
  }
  Fd connect() {
    Fd host, agent;
    REQUIRE(make_socketpair(SOCK_STREAM, host, agent) == 0);
    channel = Channel::create(
        reactor, std::move(host), hello(),
        [this](const Opening& value) {
          opening = value;
          opening_on_thread = reactor.on_thread();
          ++open_calls;
          opened.set_value();
        },
        [this] {
          closed_on_thread = reactor.on_thread();
          open_before_closed = open_calls == 1;
          ++closed_calls;
          closed.set_value();
        });
    return agent;
  }
  bool wait_closed() { return closed.get_future().wait_for(std::chrono::seconds(kPatience)) == std::future_status::ready; }

  Reactor reactor;
  Opening opening;
  std::promise<void> opened, closed;
  std::atomic<int> open_calls = 0, closed_calls = 0;
  std::atomic<bool> opening_on_thread = false, closed_on_thread = false, open_before_closed = false;
  std::shared_ptr<Channel> channel;
  Peer peer;
};

/// Polls `condition` for as long as a test is patient.
template <class F>
bool eventually(F condition) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(kPatience);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

template <class F>
Code code_of(F call) {
  try {
    call();
  } catch (const Error& error) {
    return error.code();
  }
  return Code::ok;
}

constexpr int64_t kLong = kPatience * 1000;

}  // namespace svm::channel::test
