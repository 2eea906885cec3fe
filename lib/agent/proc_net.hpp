// /proc/net/tcp and tcp6, as text. Pure parser: no I/O; fuzzed. A line that is not well-formed is passed over.
#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

namespace svm::agent {

struct TcpListener {
  uint8_t address[16]{};  // network order; the first four bytes of an IPv4 one
  bool v6 = false;
  uint16_t port = 0;      // not 0
  uint32_t uid = 0;

  /// Whether a connection to 127.0.0.1 or ::1 reaches it.
  bool on_loopback() const noexcept;
};

/// Appends those that listen; at most `limit` in `out` altogether. False: there are more.
bool parse_tcp_listeners(std::string_view text, bool v6, size_t limit, std::vector<TcpListener>& out);

}  // namespace svm::agent
