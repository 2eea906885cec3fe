#include "model/duration.hpp"

namespace svm::model {
namespace {

constexpr uint64_t kMaxMagnitude = 1ull << 63;  // of INT64_MIN

struct Unit {
  std::string_view name;
  uint64_t ns;
};
// Longer names before their prefixes.
constexpr Unit kUnits[] = {
    {"ns", 1},        {"us", 1000},       {"\u00b5s", 1000},         {"\u03bcs", 1000},           {"ms", 1'000'000},
    {"s", 1'000'000'000}, {"m", 60'000'000'000}, {"h", 3'600'000'000'000},
};

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// NUMBER UNIT at the front of `text`.
bool take_term(std::string_view& text, uint64_t& ns) {
  uint64_t whole = 0;
  size_t digits = 0;
  for (; !text.empty() && is_digit(text[0]); text.remove_prefix(1), ++digits) {
    if (whole > kMaxMagnitude / 10) return false;
    whole = whole * 10 + static_cast<uint64_t>(text[0] - '0');
    if (whole > kMaxMagnitude) return false;
  }
  uint64_t fraction = 0;
  double scale = 1;
  if (!text.empty() && text[0] == '.') {
    text.remove_prefix(1);
    bool full = false;
    for (; !text.empty() && is_digit(text[0]); text.remove_prefix(1), ++digits) {
      if (full || fraction > (kMaxMagnitude - 1) / 10) {
        full = true;  // further digits are below a nanosecond of every unit
        continue;
      }
      const uint64_t next = fraction * 10 + static_cast<uint64_t>(text[0] - '0');
      if (next > kMaxMagnitude) {
        full = true;
        continue;
      }
      fraction = next;
      scale *= 10;
    }
  }
  if (digits == 0) return false;
  size_t size = 0;
  while (size < text.size() && text[size] != '.' && !is_digit(text[size])) ++size;
  for (const Unit& unit : kUnits) {
    if (text.substr(0, size) != unit.name) continue;
    text.remove_prefix(size);
    if (whole > kMaxMagnitude / unit.ns) return false;
    ns = whole * unit.ns + static_cast<uint64_t>(static_cast<double>(fraction) * (static_cast<double>(unit.ns) / scale));
    return ns <= kMaxMagnitude;
  }
  return false;
}

// Appends `value` / 10^decimals without trailing zeros.
void append_decimal(std::string& out, uint64_t value, int decimals) {
  uint64_t power = 1;
  for (int i = 0; i < decimals; ++i) power *= 10;
  out += std::to_string(value / power);
  std::string fraction = std::to_string(power + value % power).substr(1);
  while (!fraction.empty() && fraction.back() == '0') fraction.pop_back();
  if (!fraction.empty()) out += '.' + fraction;
}

}  // namespace

bool duration_parse(std::string_view text, int64_t& ns) noexcept {
  bool negative = false;
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) {
    negative = text[0] == '-';
    text.remove_prefix(1);
  }
  if (text == "0") {
    ns = 0;
    return true;
  }
  if (text.empty()) return false;
  uint64_t total = 0;
  while (!text.empty()) {
    uint64_t term = 0;
    if (!take_term(text, term)) return false;
    total += term;  // both at most 2^63: no wrap
    if (total > kMaxMagnitude || (total == 0 && term != 0)) return false;
  }
  if (!negative && total > kMaxMagnitude - 1) return false;
  ns = static_cast<int64_t>(negative ? ~total + 1 : total);
  return true;
}

std::string duration_format(int64_t ns) {
  if (ns == 0) return "0s";
  std::string out;
  uint64_t rest = static_cast<uint64_t>(ns);
  if (ns < 0) {
    out = "-";
    rest = ~rest + 1;
  }
  if (rest < 1'000'000'000) {
    if (rest < 1000) return out + std::to_string(rest) + "ns";
    append_decimal(out, rest, rest < 1'000'000 ? 3 : 6);
    return out + (rest < 1'000'000 ? "\u00b5s" : "ms");
  }
  constexpr uint64_t kMinute = 60'000'000'000;
  const uint64_t minutes = rest / kMinute;
  if (minutes >= 60) out += std::to_string(minutes / 60) + "h";
  if (minutes > 0) out += std::to_string(minutes % 60) + "m";
  append_decimal(out, rest % kMinute, 9);
  return out + "s";
}

int64_t duration_ms(int64_t ns) noexcept {
  constexpr int64_t kNs = 1'000'000;
  return ns / kNs + (ns % kNs > 0 ? 1 : ns % kNs < 0 ? -1 : 0);
}

}  // namespace svm::model
