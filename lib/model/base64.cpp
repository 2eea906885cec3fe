#include "model/base64.hpp"

#include <array>
#include <cstdint>

namespace svm::model {
namespace {

constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr uint8_t kNone = 0xff;

constexpr std::array<uint8_t, 256> kValues = [] {
  std::array<uint8_t, 256> values{};
  values.fill(kNone);
  for (size_t i = 0; i < kAlphabet.size(); ++i) values[static_cast<uint8_t>(kAlphabet[i])] = static_cast<uint8_t>(i);
  return values;
}();

}  // namespace

std::string base64_encode(std::string_view bytes) {
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t rest = bytes.size() - i;
    uint32_t group = static_cast<uint32_t>(static_cast<uint8_t>(bytes[i])) << 16;
    if (rest > 1) group |= static_cast<uint32_t>(static_cast<uint8_t>(bytes[i + 1])) << 8;
    if (rest > 2) group |= static_cast<uint8_t>(bytes[i + 2]);
    text += kAlphabet[group >> 18 & 63];
    text += kAlphabet[group >> 12 & 63];
    text += rest > 1 ? kAlphabet[group >> 6 & 63] : '=';
    text += rest > 2 ? kAlphabet[group & 63] : '=';
  }
  return text;
}

bool base64_decode(std::string_view text, std::string& out) {
  out.clear();
  if (text.size() % 4 != 0) return false;
  size_t padding = 0;
  while (padding < 2 && padding < text.size() && text[text.size() - 1 - padding] == '=') ++padding;
  out.reserve(text.size() / 4 * 3);
  for (size_t i = 0; i < text.size(); i += 4) {
    const size_t pads = i + 4 == text.size() ? padding : 0;
    uint32_t group = 0;
    for (size_t j = 0; j < 4; ++j) {
      const uint8_t value = j < 4 - pads ? kValues[static_cast<uint8_t>(text[i + j])] : uint8_t{0};
      if (value == kNone) return false;
      group = group << 6 | value;
    }
    const uint32_t unused = pads == 0 ? 0 : pads == 1 ? 0xffu : 0xffffu;
    if ((group & unused) != 0) return false;
    out += static_cast<char>(group >> 16);
    if (pads < 2) out += static_cast<char>(group >> 8 & 0xff);
    if (pads < 1) out += static_cast<char>(group & 0xff);
  }
  return true;
}

}  // namespace svm::model
