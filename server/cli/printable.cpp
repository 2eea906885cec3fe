#include "printable.hpp"

#include <algorithm>
#include <cstdint>

#include "../text/text.hpp"

namespace cli {
namespace {

std::string hexadecimal(uint32_t value, int digits) {
  std::string out;
  for (int shift = 4 * (digits - 1); shift >= 0; shift -= 4) out += "0123456789abcdef"[value >> shift & 15];
  return out;
}

size_t size_of_character(uint8_t first) { return first < 0x80 ? 1 : first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc2 ? 2 : 1; }

bool acts(uint32_t c) {
  return c < 0x20 || (c >= 0x7f && c < 0xa0)                                         // C0, DEL, C1
         || c == 0xad || c == 0x61c || c == 0x180e || c == 0xfeff                    // invisible
         || (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e)             // zero width; line ends and directions
         || (c >= 0x2060 && c <= 0x206f) || (c >= 0xfff9 && c <= 0xfffb) || (c >= 0xe0000 && c <= 0xe007f);
}

}  // namespace

std::string printable(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const size_t size = std::min(size_of_character(static_cast<uint8_t>(text[0])), text.size());
    const std::string_view character = text.substr(0, size);
    if (!text::is_utf8(character)) {
      out += "\\x" + hexadecimal(static_cast<uint8_t>(text[0]), 2);
      text.remove_prefix(1);
      continue;
    }
    uint32_t code = size == 1 ? static_cast<uint8_t>(text[0]) : static_cast<uint8_t>(text[0]) & (0x7f >> size);
    for (const char c : character.substr(1)) code = code << 6 | (static_cast<uint8_t>(c) & 0x3f);
    if (!acts(code))
      out += character;
    else if (code == '\n')
      out += "\\n";
    else
      out += code < 0x100 ? "\\x" + hexadecimal(code, 2) : code < 0x10000 ? "\\u" + hexadecimal(code, 4) : "\\U" + hexadecimal(code, 8);
    text.remove_prefix(size);
  }
  return out;
}

size_t characters(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<uint8_t>(c) & 0xc0) != 0x80; }));
}

}  // namespace cli
