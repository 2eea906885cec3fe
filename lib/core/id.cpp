#include "core/id.hpp"

#include <sys/random.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>

namespace svm {
namespace {
constexpr char kAlphabet[] = "abcdefghijklmnopqrstuvwxyz234567";
constexpr size_t kIdBytes = 16;
constexpr size_t kIdChars = 26;
}  // namespace

void random_bytes(void* out, size_t size) noexcept {
  auto* at = static_cast<char*>(out);
  while (size > 0) {
    const ssize_t n = ::getrandom(at, size, 0);
    if (n < 0) {
      if (errno == EINTR) continue;
      std::abort();
    }
    at += n;
    size -= static_cast<size_t>(n);
  }
}

std::string base32(const void* data, size_t size) {
  const auto* bytes = static_cast<const uint8_t*>(data);
  std::string text;
  text.reserve((size * 8 + 4) / 5);
  uint32_t bits = 0;
  int count = 0;
  for (size_t i = 0; i < size; ++i) {
    bits = (bits << 8 | bytes[i]) & 0xffff;
    count += 8;
    while (count >= 5) {
      count -= 5;
      text += kAlphabet[bits >> count & 31];
    }
  }
  if (count > 0) text += kAlphabet[bits << (5 - count) & 31];
  return text;
}

std::string random_id(std::string_view prefix) {
  uint8_t bytes[kIdBytes];
  random_bytes(bytes, sizeof bytes);
  return std::string(prefix) + base32(bytes, sizeof bytes);
}

bool is_random_id(std::string_view prefix, std::string_view text) noexcept {
  if (text.size() != prefix.size() + kIdChars || text.substr(0, prefix.size()) != prefix) return false;
  for (const char c : text.substr(prefix.size()))
    if (!((c >= 'a' && c <= 'z') || (c >= '2' && c <= '7'))) return false;
  return true;
}

}  // namespace svm
