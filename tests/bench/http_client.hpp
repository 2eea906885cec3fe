// A client that costs as little as a client can: one keep-alive connection, requests as bytes. And the server that it talks to.
#pragma once
#include <sys/types.h>

#include <cstdint>
#include <string>

namespace bench {

/// A `stacyvm serve` of its own, at a free port of 127.0.0.1. Ends with SIGTERM.
class ServerProcess {
 public:
  ServerProcess(const std::string& executable, const std::string& state_dir);
  ~ServerProcess();
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;
  uint16_t port() const noexcept { return port_; }

 private:
  pid_t process_ = -1;
  uint16_t port_ = 0;
};

class HttpClient {
 public:
  explicit HttpClient(uint16_t port);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  void send(const std::string& request);
  /// The body of the next answer, which says its length. Throws unless its status is 2xx.
  std::string receive();
  std::string call(const std::string& request) {
    send(request);
    return receive();
  }
  /// Reads until `mark` has come: of an answer without an end.
  void receive_until(const std::string& mark);
  int fd() const noexcept { return fd_; }

 private:
  void fill();
  int fd_ = -1;
  std::string in_;
};

std::string get(const std::string& path);
std::string post(const std::string& path, const std::string& json);
std::string del(const std::string& path);

}  // namespace bench
