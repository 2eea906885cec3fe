// Listens, and gives every connection a thread: http::Adapter serves what comes on it.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "connection.hpp"
#include "exchange.hpp"

namespace http {

inline constexpr int kBacklog = 512;

struct ServerOptions {
  std::string host = "127.0.0.1";  // an address, or a name that stands for one
  uint16_t port = 0;               // 0: any that is free
  std::shared_ptr<const TlsContext> tls;
  // A further one takes the place of that which is idle longest, of the same address where that has too many; where none is: 503.
  size_t max_connections = 1'024;
  size_t max_connections_per_address = 768;
  std::chrono::milliseconds drain{10'000};   // after the stop: how long requests under way may take
  Deadlines deadlines;
};

class Server {
 public:
  /// Binds and listens; connections wait until run(). Throws std::system_error or std::runtime_error, which name the address.
  Server(const ServerOptions& options, Handler& handler);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  uint16_t port() const noexcept;
  /// "http://127.0.0.1:7423".
  std::string url() const;
  /// Serves until `stop`, a descriptor, is readable. Then nothing new is taken, idle connections end, long answers see Sink::stop(), and after
  /// options.drain the rest is cut off. Returns when no connection is left; how many were cut off.
  size_t run(int stop);

 private:
  class Implementation;
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace http
