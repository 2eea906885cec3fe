// The beginning of a WebSocket (RFC 6455 section 4). Pure.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace svm::net {

/// The request of a client. `nonce`: 16 random bytes, in base64. `headers`: "Name: value".
std::string upgrade_request(std::string_view target, std::string_view host, std::string_view nonce, const std::vector<std::string>& headers);

struct UpgradeAnswer {
  int status = 0;
  bool accepted = false;       // 101, and the server has understood (section 4.1)
  std::optional<size_t> body;  // Content-Length
  size_t head = 0;             // bytes of it; what is behind them are frames, or the body
};
inline constexpr size_t kMaxUpgradeHead = 64 * 1024;

/// Takes the server's answer apart. Nothing: it is not whole. Throws Error io for what is no answer of HTTP/1.1, or is larger than kMaxUpgradeHead.
std::optional<UpgradeAnswer> parse_upgrade_answer(std::string_view bytes, std::string_view nonce);

}  // namespace svm::net
