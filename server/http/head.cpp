#include "head.hpp"

#include <algorithm>
#include <array>

namespace http {
namespace {

constexpr std::array<bool, 256> token_characters() {
  std::array<bool, 256> is{};
  for (char c = 'a'; c <= 'z'; ++c) is[static_cast<unsigned char>(c)] = true;
  for (char c = 'A'; c <= 'Z'; ++c) is[static_cast<unsigned char>(c)] = true;
  for (char c = '0'; c <= '9'; ++c) is[static_cast<unsigned char>(c)] = true;
  for (const char c : std::string_view("!#$%&'*+-.^_`|~")) is[static_cast<unsigned char>(c)] = true;
  return is;
}
constexpr std::array<bool, 256> kToken = token_characters();

bool is_token(std::string_view text) noexcept {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return kToken[static_cast<unsigned char>(c)]; });
}

char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

/// Up to 10^18, so that it never overflows.
bool parse_length(std::string_view text, uint64_t& out) noexcept {
  if (text.empty() || text.size() > 18) return false;
  out = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return false;
    out = out * 10 + static_cast<uint64_t>(c - '0');
  }
  return true;
}

int hex_value(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

constexpr std::string_view kMethods[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"};
bool has_body(std::string_view method) noexcept { return method == "POST" || method == "PUT" || method == "PATCH" || method == "DELETE"; }

/// METHOD SP TARGET SP VERSION.
std::optional<Refusal> check_request_line(std::string_view line, std::string_view& method, bool& http_1_0) noexcept {
  const size_t first = line.find(' '), last = line.rfind(' ');
  if (first == line.npos || first == last) return Refusal{400, "malformed request line"};
  method = line.substr(0, first);
  const std::string_view target = line.substr(first + 1, last - first - 1), version = line.substr(last + 1);
  if (!is_token(method)) return Refusal{400, "malformed request line"};
  if (version != "HTTP/1.1" && version != "HTTP/1.0") return Refusal{version.starts_with("HTTP/") ? 505 : 400, "this server speaks HTTP/1.1"};
  http_1_0 = version == "HTTP/1.0";
  if (std::find(std::begin(kMethods), std::end(kMethods), method) == std::end(kMethods)) return Refusal{405, "this server knows GET, HEAD, POST, PUT, PATCH, DELETE and OPTIONS"};
  if (target.size() > kMaxTargetBytes) return Refusal{414, "the request target is longer than 8,000 bytes"};
  if (target != "*" && !target.starts_with('/')) return Refusal{400, "the request target is not a path"};
  if (!std::all_of(target.begin(), target.end(), [](char c) { return c > ' ' && c <= '~'; })) return Refusal{400, "the request target has characters that must be percent-encoded"};
  return std::nullopt;
}

}  // namespace

bool is_named(std::string_view name, std::string_view lower_case) noexcept {
  return std::equal(name.begin(), name.end(), lower_case.begin(), lower_case.end(), [](char a, char b) { return lower(a) == b; });
}

std::string_view trimmed(std::string_view text) noexcept {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

size_t find_head_end(std::string_view bytes) noexcept {
  const size_t at = bytes.find("\r\n\r\n");
  return at == bytes.npos ? 0 : at + 4;
}

std::optional<Refusal> check_head(std::string_view bytes, Head& out) noexcept {
  out = {};
  std::string_view method;
  bool http_1_0 = false, first = true, ended = false;
  size_t fields = 0, hosts = 0, lengths = 0, codings = 0;
  while (!bytes.empty()) {
    const size_t end = bytes.find("\r\n");
    if (end == bytes.npos) return Refusal{400, "a line does not end"};
    const std::string_view line = bytes.substr(0, end);
    bytes.remove_prefix(end + 2);
    if (first) {
      first = false;
      if (auto refusal = check_request_line(line, method, http_1_0)) return refusal;
      continue;
    }
    if (line.empty()) {
      ended = true;
      break;
    }
    if (line.size() > kMaxFieldBytes) return Refusal{431, "a header field is longer than 8,000 bytes"};
    if (++fields > kMaxFields) return Refusal{431, "more than 100 header fields"};
    const size_t colon = line.find(':');
    if (colon == line.npos || !is_token(line.substr(0, colon))) return Refusal{400, "malformed header field"};
    for (const char c : line.substr(colon))
      if ((static_cast<unsigned char>(c) < ' ' && c != '\t') || c == '\x7f') return Refusal{400, "a header field has control characters"};
    const std::string_view name = line.substr(0, colon), value = trimmed(line.substr(colon + 1));
    if (is_named(name, "host")) ++hosts;
    if (is_named(name, "content-length")) {
      ++lengths;
      if (!parse_length(value, out.length)) return Refusal{400, "Content-Length is not a number of bytes"};
      out.framing = Framing::length;
    }
    if (is_named(name, "transfer-encoding")) {
      ++codings;
      if (!is_named(value, "chunked")) return Refusal{501, "the only transfer coding is chunked"};
    }
    if (is_named(name, "expect") && is_named(value, "100-continue")) out.expects_continue = true;
    if (is_named(name, "upgrade") && is_named(value, "h2c")) return Refusal{400, "this server speaks HTTP/1.1"};
  }
  if (!ended || !bytes.empty()) return Refusal{400, "malformed request"};
  if (hosts > 1 || (hosts == 0 && !http_1_0)) return Refusal{400, "there must be one Host"};
  if (lengths > 1) return Refusal{400, "more than one Content-Length"};
  if (codings > 1 || (codings == 1 && (lengths > 0 || http_1_0))) return Refusal{400, "Transfer-Encoding and Content-Length contradict each other"};
  if (codings == 1) out.framing = Framing::chunked;
  if (!has_body(method) && (out.framing == Framing::chunked || out.length > 0)) return Refusal{400, "this method takes no body"};
  return std::nullopt;
}

std::vector<Field> fields_of(std::string_view head) {
  std::vector<Field> fields;
  head.remove_prefix(head.find("\r\n") + 2);
  for (size_t end; (end = head.find("\r\n")) > 0 && end != head.npos; head.remove_prefix(end + 2)) {
    const std::string_view line = head.substr(0, end);
    const size_t colon = line.find(':');
    fields.push_back({line.substr(0, colon), trimmed(line.substr(colon + 1))});
  }
  return fields;
}

void ChunkDecoder::step(char byte) noexcept {
  const int digit = hex_value(byte);
  switch (state_) {
    case State::size:
      if (digit >= 0) {
        // 15 digits: less than 2^60, so that nothing overflows.
        if (++digits_ > 15) state_ = State::malformed;
        left_ = left_ << 4 | static_cast<uint64_t>(digit);
      } else if (digits_ == 0) {
        state_ = State::malformed;
      } else if (byte == '\r') {
        state_ = State::size_lf;
      } else {
        state_ = byte == ';' ? State::extension : State::malformed;
      }
      break;
    case State::extension:
      if (byte == '\r')
        state_ = State::size_lf;
      else if (++line_ > kMaxLine || (static_cast<unsigned char>(byte) < ' ' && byte != '\t') || byte == '\x7f')
        state_ = State::malformed;
      break;
    case State::size_lf:
      line_ = 0;
      state_ = byte != '\n' ? State::malformed : left_ == 0 ? State::trailer_start : State::content;
      break;
    case State::content_cr: state_ = byte == '\r' ? State::content_lf : State::malformed; break;
    case State::content_lf:
      digits_ = 0;
      state_ = byte == '\n' ? State::size : State::malformed;
      break;
    case State::trailer_start:
      if (byte == '\r') {
        state_ = State::last_lf;
        break;
      }
      state_ = State::trailer;
      [[fallthrough]];
    case State::trailer:
      if (byte == '\r')
        state_ = State::trailer_lf;
      else if (++line_ > kMaxLine || (static_cast<unsigned char>(byte) < ' ' && byte != '\t') || byte == '\x7f')
        state_ = State::malformed;
      break;
    case State::trailer_lf: state_ = byte == '\n' ? State::trailer_start : State::malformed; break;
    case State::last_lf: state_ = byte == '\n' ? State::ended : State::malformed; break;
    case State::content:
    case State::ended:
    case State::malformed: break;
  }
}

size_t ChunkDecoder::feed(std::string_view bytes, std::string& out) {
  size_t at = 0;
  while (at < bytes.size() && state_ != State::ended && state_ != State::malformed) {
    if (state_ != State::content) {
      step(bytes[at++]);
      continue;
    }
    const size_t take = static_cast<size_t>(std::min<uint64_t>(left_, bytes.size() - at));
    out.append(bytes.substr(at, take));
    at += take;
    left_ -= take;
    if (left_ == 0) state_ = State::content_cr;
  }
  return at;
}

bool percent_decode(std::string_view text, bool plus_is_blank, std::string& out) {
  out.clear();
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      if (text.size() - i < 3) return false;
      const int high = hex_value(text[i + 1]), low = hex_value(text[i + 2]);
      if (high < 0 || low < 0) return false;
      c = static_cast<char>(high << 4 | low);
      if (c == '\0') return false;
      i += 2;
    } else if (c == '+' && plus_is_blank) {
      c = ' ';
    }
    out += c;
  }
  return true;
}

}  // namespace http
