// HTTP/1.1 by cpp-httplib: it forms answers, chunks and parts, and upgrades to WebSocket. Sockets, deadlines, heads, bodies, frames and threads are ours.
#pragma once
#include <memory>
#include <string>

#include "connection.hpp"
#include "exchange.hpp"

namespace http {

class Adapter {
 public:
  /// `stop`: what Sink::stop() answers. `listener`: a descriptor that stays open (the library asks whether it is served at all).
  Adapter(Handler& handler, int listener, int stop);
  ~Adapter();
  Adapter(const Adapter&) = delete;
  Adapter& operator=(const Adapter&) = delete;

  /// One request whose head the connection holds, to the end of its answer. False: the connection is of no more use. Any number of threads.
  bool serve(Connection& connection, const Head& head, const std::string& client_address, bool encrypted);
  /// An answer to what is no request that could be served; the connection is of no more use.
  void refuse(Connection& connection, const Refusal& refusal, const std::string& client_address);

 private:
  class Implementation;
  std::unique_ptr<Implementation> implementation_;
  Handler& handler_;
};

}  // namespace http
