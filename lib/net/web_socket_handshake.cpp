#include "net/web_socket_handshake.hpp"

#include <algorithm>

#include "core/error.hpp"
#include "model/base64.hpp"
#include "net/sha1.hpp"

namespace svm::net {
namespace {

constexpr std::string_view kEnd = "\r\n\r\n";
constexpr std::string_view kGuid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";  // section 1.3

[[noreturn]] void refuse(const char* why) { throw Error(Code::io, std::string("the server's answer is no HTTP: ") + why); }

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  return out;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

}  // namespace

std::string upgrade_request(std::string_view target, std::string_view host, std::string_view nonce, const std::vector<std::string>& headers) {
  std::string out = "GET " + std::string(target) + " HTTP/1.1\r\nHost: " + std::string(host) +
                    "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + std::string(nonce) + "\r\n";
  for (const std::string& header : headers) out += header + "\r\n";
  return out + "\r\n";
}

std::optional<UpgradeAnswer> parse_upgrade_answer(std::string_view bytes, std::string_view nonce) {
  const size_t end = bytes.substr(0, kMaxUpgradeHead).find(kEnd);
  if (end == bytes.npos) {
    if (bytes.size() >= kMaxUpgradeHead) refuse("its head has no end");
    return std::nullopt;
  }
  UpgradeAnswer answer;
  answer.head = end + kEnd.size();
  std::string_view rest = bytes.substr(0, end + 2);
  const std::string_view status = rest.substr(0, rest.find("\r\n"));
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  if (!status.starts_with("HTTP/1.1 ") || status.size() < 12 || !std::all_of(status.begin() + 9, status.begin() + 12, is_digit) || (status.size() > 12 && status[12] != ' '))
    refuse("it has no status");
  answer.status = (status[9] - '0') * 100 + (status[10] - '0') * 10 + (status[11] - '0');
  rest.remove_prefix(status.size() + 2);
  std::string upgrade, connection, accept;
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find("\r\n"));
    rest.remove_prefix(line.size() + 2);
    const size_t colon = line.find(':');
    if (colon == line.npos || colon == 0) refuse("a header without a name");
    const std::string name = lower(line.substr(0, colon));
    const std::string_view value = trimmed(line.substr(colon + 1));
    if (name == "upgrade") upgrade = lower(value);
    if (name == "connection") connection += "," + lower(value);
    if (name == "sec-websocket-accept") accept = value;
    if (name == "content-length") {
      if (value.empty() || value.size() > 9 || !std::all_of(value.begin(), value.end(), is_digit)) refuse("its length is no number");
      answer.body = std::stoul(std::string(value));
    }
  }
  answer.accepted = answer.status == 101 && upgrade == "websocket" && connection.find("upgrade") != connection.npos &&
                    accept == model::base64_encode(sha1(std::string(nonce) + std::string(kGuid)));
  return answer;
}

}  // namespace svm::net
