#include "units.hpp"

#include <charconv>
#include <iterator>
#include <stdexcept>
#include <string>

namespace cli {
namespace {

constexpr uint64_t kMaxSize = 1ull << 62;
constexpr int64_t kMaxDurationMs = 24ll * 60 * 60 * 1000;
constexpr uint64_t kMaxMilliCpus = 1024 * 1000;

/// Takes a whole number off the front; false when there is none or it is too large.
bool take_number(std::string_view& text, uint64_t& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc() || end == text.data()) return false;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return true;
}

[[noreturn]] void refuse(std::string_view text, const char* expected) {
  throw std::invalid_argument("'" + std::string(text) + "': expected " + expected);
}

/// "whole.part" with `part` of `digits` decimals, without zeros at its end.
std::string with_fraction(int64_t whole, int64_t part, size_t digits) {
  std::string decimals = std::to_string(part);
  decimals.insert(0, digits - decimals.size(), '0');
  decimals.erase(decimals.find_last_not_of('0') + 1);
  return std::to_string(whole) + (decimals.empty() ? "" : "." + decimals);
}

}  // namespace

uint64_t parse_size(std::string_view text) {
  static constexpr char kExpected[] = "a size such as 256m or 1g";
  std::string_view rest = text;
  uint64_t number = 0;
  if (!take_number(rest, number) || number == 0 || rest.size() > 1) refuse(text, kExpected);
  unsigned shift = 0;
  if (!rest.empty()) {
    switch (rest[0] | 0x20) {
      case 'b': break;
      case 'k': shift = 10; break;
      case 'm': shift = 20; break;
      case 'g': shift = 30; break;
      case 't': shift = 40; break;
      default: refuse(text, kExpected);
    }
  }
  if (number > kMaxSize >> shift) refuse(text, "a size of at most 2^62 bytes");
  return number << shift;
}

int64_t parse_duration_ms(std::string_view text) {
  static constexpr char kExpected[] = "a time such as 30s, 500ms or 1m30s, at most 24h";
  std::string_view rest = text;
  int64_t total = 0;
  if (rest.empty()) refuse(text, kExpected);
  while (!rest.empty()) {
    uint64_t number = 0;
    if (!take_number(rest, number) || number > static_cast<uint64_t>(kMaxDurationMs)) refuse(text, kExpected);
    int64_t unit = 0;
    if (rest.starts_with("ms")) {
      unit = 1;
      rest.remove_prefix(2);
    } else if (!rest.empty()) {
      unit = rest[0] == 's' ? 1000 : rest[0] == 'm' ? 60'000 : rest[0] == 'h' ? 3'600'000 : 0;
      rest.remove_prefix(1);
    }
    if (unit == 0 || static_cast<int64_t>(number) > kMaxDurationMs / unit) refuse(text, kExpected);
    total += static_cast<int64_t>(number) * unit;
    if (total > kMaxDurationMs) refuse(text, kExpected);
  }
  if (total == 0) refuse(text, kExpected);
  return total;
}

uint32_t parse_milli_cpus(std::string_view text) {
  static constexpr char kExpected[] = "a number of processors such as 0.5 or 2, at most 1024";
  std::string_view rest = text;
  uint64_t whole = 0, thousandths = 0;
  if (!take_number(rest, whole) || whole > kMaxMilliCpus / 1000) refuse(text, kExpected);
  if (!rest.empty()) {
    if (rest[0] != '.' || rest.size() < 2 || rest.size() > 4) refuse(text, kExpected);
    rest.remove_prefix(1);
    for (uint64_t weight = 100; !rest.empty(); weight /= 10) {
      if (rest[0] < '0' || rest[0] > '9') refuse(text, kExpected);
      thousandths += static_cast<uint64_t>(rest[0] - '0') * weight;
      rest.remove_prefix(1);
    }
  }
  const uint64_t milli = whole * 1000 + thousandths;
  if (milli == 0 || milli > kMaxMilliCpus) refuse(text, kExpected);
  return static_cast<uint32_t>(milli);
}

uint32_t parse_count(std::string_view text) {
  std::string_view rest = text;
  uint64_t number = 0;
  if (!take_number(rest, number) || !rest.empty() || number == 0 || number > UINT32_MAX)
    refuse(text, "a number from 1 to 4294967295");
  return static_cast<uint32_t>(number);
}

std::string format_bytes(uint64_t bytes) {
  static constexpr const char* kUnits[] = {" KiB", " MiB", " GiB", " TiB", " PiB", " EiB"};
  if (bytes < 1024) return std::to_string(bytes) + " B";
  size_t unit = 0;
  while (unit + 1 < std::size(kUnits) && bytes >= 1024 * 1024) {
    bytes /= 1024;
    ++unit;
  }
  return std::to_string(bytes / 1024) + '.' + std::to_string(bytes % 1024 * 10 / 1024) + kUnits[unit];
}

std::string format_duration(int64_t us) {
  if (us == 0) return "0s";
  if (us < 1000) return std::to_string(us) + "µs";
  if (us < 1'000'000) return with_fraction(us / 1000, us % 1000, 3) + "ms";
  const int64_t seconds = us / 1'000'000, minutes = seconds / 60, hours = minutes / 60;
  std::string out;
  if (hours > 0) out += std::to_string(hours) + 'h';
  if (minutes > 0) out += std::to_string(minutes % 60) + 'm';
  return out + with_fraction(seconds % 60, us % 1'000'000, 6) + 's';
}

}  // namespace cli
