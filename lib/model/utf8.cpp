#include "model/utf8.hpp"

#include <cstdint>
#include <cstring>

namespace svm::model {

size_t utf8_character(std::string_view text) noexcept {
  if (text.empty()) return 0;
  const auto at = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = at(0);
  if (lead < 0x80) return 1;
  size_t size = 0;
  uint8_t least = 0x80, most = 0xbf;  // of the second byte: excludes overlong forms, surrogates and what is beyond U+10FFFF
  if (lead >= 0xc2 && lead <= 0xdf) {
    size = 2;
  } else if (lead >= 0xe0 && lead <= 0xef) {
    size = 3;
    if (lead == 0xe0) least = 0xa0;
    if (lead == 0xed) most = 0x9f;
  } else if (lead >= 0xf0 && lead <= 0xf4) {
    size = 4;
    if (lead == 0xf0) least = 0x90;
    if (lead == 0xf4) most = 0x8f;
  } else {
    return 0;
  }
  if (text.size() < size || at(1) < least || at(1) > most) return 0;
  for (size_t i = 2; i < size; ++i)
    if ((at(i) & 0xc0) != 0x80) return 0;
  return size;
}

bool is_utf8(std::string_view text) noexcept {
  while (!text.empty()) {
    // Eight ASCII bytes at a time: nearly all of nearly every text.
    uint64_t word = 0;
    if (text.size() >= sizeof word) {
      std::memcpy(&word, text.data(), sizeof word);
      if ((word & 0x8080808080808080u) == 0) {
        text.remove_prefix(sizeof word);
        continue;
      }
    }
    const size_t size = utf8_character(text);
    if (size == 0) return false;
    text.remove_prefix(size);
  }
  return true;
}

std::string_view utf8_prefix(std::string_view text, size_t size) noexcept {
  if (text.size() <= size) return text;
  size_t end = size;
  for (unsigned back = 0; back < 4 && end > 0 && (static_cast<uint8_t>(text[end]) & 0xc0) == 0x80; ++back) --end;
  return text.substr(0, end);
}

}  // namespace svm::model
