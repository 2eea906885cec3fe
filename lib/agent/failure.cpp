#include "agent/failure.hpp"

#include <cstring>

namespace svm::agent {

std::string printable(std::string_view text, size_t limit) {
  static constexpr char kHex[] = "0123456789abcdef";
  static constexpr size_t kEscaped = 4;  // "\xNN"
  static constexpr std::string_view kCut = "...";
  std::string out;
  size_t safe = 0;  // where `out` may be cut and still take kCut
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = byte >= 0x20 && byte < 0x7f && c != '\\';
    if (out.size() + kCut.size() <= limit) safe = out.size();
    if (out.size() + (plain ? 1 : kEscaped) > limit) {
      out.resize(safe);
      out += kCut;
      return out;
    }
    if (plain) {
      out += c;
    } else {
      out += "\\x";
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    }
  }
  return out;
}

std::string error_text(int error) {
  const char* words = ::strerrordesc_np(error);  // no locale, no static buffer
  if (!words) return "error " + std::to_string(error);
  std::string text = words;
  if (!text.empty() && text[0] >= 'A' && text[0] <= 'Z') text[0] = static_cast<char>(text[0] - 'A' + 'a');
  return text;
}

protocol::Result failure(Code code, int error, std::string_view verb, std::string_view subject, std::string_view detail) {
  protocol::Result result;
  result.code = code;
  result.error = error;
  const std::string tail = printable(detail, kMaxMessageBytes / 2);
  std::string line = printable(verb, 64);
  if (!subject.empty()) {
    if (!line.empty()) line += ' ';
    line += printable(subject, kMaxMessageBytes - line.size() - 2 - tail.size());
  }
  if (!tail.empty()) {
    if (!line.empty()) line += ": ";
    line += tail;
  }
  result.message = std::move(line);
  return result;
}

protocol::Result failure(int error, std::string_view verb, std::string_view subject) {
  return failure(code_from_errno(error), error, verb, subject, error_text(error));
}

}  // namespace svm::agent
