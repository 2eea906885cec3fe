// A conversation over a connection that has been upgraded (RFC 6455), the server's side.
#pragma once
#include <chrono>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "connection.hpp"
#include "exchange.hpp"
#include "frames.hpp"

namespace http {

/// Made by the thread that reads.
class WebSocket final : public Socket {
 public:
  WebSocket(Connection& connection, int stop, std::chrono::milliseconds ping = kPing) : connection_(connection), stop_(stop), ping_(ping), reader_(std::this_thread::get_id()) {}

  static constexpr std::chrono::milliseconds kPing{30'000};  // of a client's silence, until it is asked whether it is there
  static constexpr int kPings = 10;                          // in vain, until it is not

  Kind read(std::string& message) override;
  bool send_text(const std::string& message) override { return send(Opcode::text, message); }
  bool send_binary(std::string_view message) override { return send(Opcode::binary, message); }
  void close(int code, const std::string& reason) override;
  void abort() noexcept override { connection_.abort(); }
  int client() const noexcept override { return connection_.fd(); }
  int stop() const noexcept override { return stop_; }

 private:
  static constexpr std::chrono::milliseconds kFarewell{5'000};  // for a client to answer a close

  bool send(Opcode opcode, std::string_view payload);
  /// Says it once, whoever is first.
  void send_close(int code, std::string_view reason);
  /// As Connection::read_raw, into rest_.
  ssize_t receive(std::chrono::milliseconds gap);
  void await_close();

  Connection& connection_;
  const int stop_;
  const std::chrono::milliseconds ping_;
  const std::thread::id reader_;
  std::mutex order_;  // of frames
  bool closed_ = false;  // under order_: nothing may be sent any more
  MessageReader frames_;
  std::string in_;
  std::string_view rest_;  // of in_
};

}  // namespace http
