#include "agent/proc_net.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace svm::agent {
namespace {

constexpr std::string_view kListen = "0A";  // TCP_LISTEN

std::string_view take_word(std::string_view& line) noexcept {
  line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
  const std::string_view word = line.substr(0, line.find(' '));
  line.remove_prefix(word.size());
  return word;
}

template <class T>
bool parse(std::string_view text, int base, T& out) noexcept {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out, base);
  return error == std::errc() && end == text.data() + text.size();
}

/// "0100007F:1F90": words of the machine's own order, eight digits each, and a port.
bool parse_address(std::string_view text, TcpListener& out) noexcept {
  const size_t words = out.v6 ? 4 : 1;
  if (text.size() != words * 8 + 5 || text[words * 8] != ':') return false;
  for (size_t i = 0; i < words; ++i) {
    uint32_t word = 0;
    if (!parse(text.substr(i * 8, 8), 16, word)) return false;
    std::memcpy(out.address + i * 4, &word, sizeof word);
  }
  return parse(text.substr(words * 8 + 1), 16, out.port) && out.port != 0;
}

/// "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid ..."
bool parse_line(std::string_view line, TcpListener& out) noexcept {
  take_word(line);
  if (!parse_address(take_word(line), out)) return false;
  take_word(line);
  if (take_word(line) != kListen) return false;
  for (int i = 0; i < 3; ++i) take_word(line);
  return parse(take_word(line), 10, out.uid);
}

}  // namespace

bool TcpListener::on_loopback() const noexcept {
  static constexpr uint8_t kAny[16] = {};
  static constexpr uint8_t kLoopback4[4] = {127, 0, 0, 1};
  static constexpr uint8_t kMapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  static constexpr uint8_t kLoopback6[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  const auto reached4 = [](const uint8_t* at) { return std::memcmp(at, kAny, 4) == 0 || std::memcmp(at, kLoopback4, 4) == 0; };
  if (!v6) return reached4(address);
  if (std::memcmp(address, kMapped, 12) == 0) return reached4(address + 12);
  return std::memcmp(address, kAny, 16) == 0 || std::memcmp(address, kLoopback6, 16) == 0;
}

bool parse_tcp_listeners(std::string_view text, bool v6, size_t limit, std::vector<TcpListener>& out) {
  while (!text.empty()) {
    const size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    TcpListener listener;
    listener.v6 = v6;
    if (!parse_line(line, listener)) continue;
    if (out.size() >= limit) return false;
    out.push_back(listener);
  }
  return true;
}

}  // namespace svm::agent
