#include "utf8.hpp"

#include <algorithm>

namespace svm::capi {
namespace {

unsigned char at(std::string_view bytes, size_t i) noexcept { return static_cast<unsigned char>(bytes[i]); }

/// How many bytes a character with this first byte has; 0 for a byte that starts none.
size_t length_of(unsigned char lead) noexcept {
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead <= 0xdf) return 2;
  if (lead >= 0xe0 && lead <= 0xef) return 3;
  if (lead >= 0xf0 && lead <= 0xf4) return 4;
  return 0;
}

/// Whether `next` may follow the lead as second byte: no overlong forms, no surrogates, nothing above U+10FFFF.
bool second_fits(unsigned char lead, unsigned char next) noexcept {
  switch (lead) {
    case 0xe0: return next >= 0xa0 && next <= 0xbf;
    case 0xed: return next >= 0x80 && next <= 0x9f;
    case 0xf0: return next >= 0x90 && next <= 0xbf;
    case 0xf4: return next >= 0x80 && next <= 0x8f;
    default: return next >= 0x80 && next <= 0xbf;
  }
}

/// How many bytes from the front of `bytes` (not empty) belong to one character, up to its length; 0 when it starts none.
size_t prefix_of_character(std::string_view bytes) noexcept {
  const size_t length = length_of(at(bytes, 0));
  if (length == 0) return 0;
  size_t n = 1;
  while (n < length && n < bytes.size()) {
    const bool fits = n == 1 ? second_fits(at(bytes, 0), at(bytes, 1)) : (at(bytes, n) & 0xc0) == 0x80;
    if (!fits) return 0;
    ++n;
  }
  return n;
}

}  // namespace

size_t utf8_boundary(std::string_view bytes) noexcept {
  const size_t size = bytes.size();
  for (size_t back = 1; back <= std::min<size_t>(3, size); ++back) {
    const unsigned char byte = at(bytes, size - back);
    if ((byte & 0xc0) == 0x80) continue;  // a continuation byte: its lead is further left
    const bool unfinished = length_of(byte) > back && prefix_of_character(bytes.substr(size - back)) == back;
    return unfinished ? size - back : size;
  }
  return size;
}

}  // namespace svm::capi
