#include "model/numbers.hpp"

#include "model/duration.hpp"
#include "model/timestamp.hpp"

namespace svm::model {
namespace {

constexpr int64_t kMebibyte = 1 << 20;

bool all_digits(std::string_view text) {
  for (const char c : text)
    if (c < '0' || c > '9') return false;
  return !text.empty();
}

// -?(0|[1-9][0-9]*), and not -0.
NumberStatus parse_integer(std::string_view text, int64_t& value) {
  const bool negative = !text.empty() && text[0] == '-';
  if (negative) text.remove_prefix(1);
  if (!all_digits(text) || (text[0] == '0' && (text.size() > 1 || negative))) return NumberStatus::malformed;
  value = 0;
  for (const char c : text)
    if (__builtin_mul_overflow(value, 10, &value) || __builtin_sub_overflow(value, c - '0', &value)) return NumberStatus::too_large;
  // Counted downwards, where there is room for INT64_MIN.
  if (negative) return NumberStatus::ok;
  if (value == INT64_MIN) return NumberStatus::too_large;
  value = -value;
  return NumberStatus::ok;
}

// Thousandths of a plain decimal number; digits beyond the third must be 0.
NumberStatus parse_thousandths(std::string_view text, int64_t& value) {
  const size_t point = text.find('.');
  std::string_view fraction;
  if (point != text.npos) {
    fraction = text.substr(point + 1);
    if (!all_digits(fraction)) return NumberStatus::malformed;
    text = text.substr(0, point);
  }
  const NumberStatus status = parse_integer(text, value);
  if (status != NumberStatus::ok) return status;
  if (value < 0) return fraction.empty() ? (value = INT64_MIN, NumberStatus::ok) : NumberStatus::malformed;
  if (fraction.size() > 3 && fraction.find_first_not_of('0', 3) != fraction.npos) return NumberStatus::malformed;
  int64_t thousandths = 0;
  for (size_t i = 0; i < 3; ++i) thousandths = thousandths * 10 + (i < fraction.size() ? fraction[i] - '0' : 0);
  if (__builtin_mul_overflow(value, 1000, &value) || __builtin_add_overflow(value, thousandths, &value)) return NumberStatus::too_large;
  return NumberStatus::ok;
}

NumberStatus parse_octal(std::string_view text, int64_t& value) {
  if (text.empty() || text.size() > 5) return NumberStatus::malformed;
  value = 0;
  for (const char c : text) {
    if (c < '0' || c > '7') return NumberStatus::malformed;
    value = value * 8 + (c - '0');
  }
  return NumberStatus::ok;
}

}  // namespace

bool is_number(Kind kind) noexcept {
  switch (kind) {
    case Kind::integer:
    case Kind::mebibytes:
    case Kind::cpus: return true;
    default: return is_quoted_number(kind);
  }
}

bool is_quoted_number(Kind kind) noexcept {
  switch (kind) {
    case Kind::mode:
    case Kind::duration_ms:
    case Kind::duration_us:
    case Kind::time_ms:
    case Kind::time_ns: return true;
    default: return false;
  }
}

NumberStatus number_parse(Kind kind, std::string_view text, int64_t& value) noexcept {
  NumberStatus status = NumberStatus::malformed;
  switch (kind) {
    case Kind::integer: return parse_integer(text, value);
    case Kind::mebibytes:
      status = parse_integer(text, value);
      if (status == NumberStatus::ok && __builtin_mul_overflow(value, kMebibyte, &value)) status = NumberStatus::too_large;
      return status;
    case Kind::cpus: return parse_thousandths(text, value);
    case Kind::mode: return parse_octal(text, value);
    case Kind::duration_ms:
    case Kind::duration_us:
      if (!duration_parse(text, value)) return NumberStatus::malformed;
      value = kind == Kind::duration_ms ? duration_ms(value) : value / 1000;
      return NumberStatus::ok;
    case Kind::time_ms:
    case Kind::time_ns:
      if (!timestamp_parse(text, value)) return NumberStatus::malformed;
      if (kind == Kind::time_ms) value = value / 1'000'000 - (value % 1'000'000 < 0);
      return NumberStatus::ok;
    default: return NumberStatus::malformed;
  }
}

std::string number_spell(Kind kind, int64_t value) {
  switch (kind) {
    case Kind::mebibytes: return std::to_string(value / kMebibyte + (value % kMebibyte > 0));
    case Kind::cpus: {
      std::string text = std::to_string(value / 1000);
      std::string fraction = std::to_string(1000 + value % 1000).substr(1);
      while (!fraction.empty() && fraction.back() == '0') fraction.pop_back();
      return fraction.empty() ? text : text + '.' + fraction;
    }
    case Kind::mode: {
      std::string text;
      for (int shift = value > 0777 ? 9 : 6; shift >= 0; shift -= 3) text += static_cast<char>('0' + (value >> shift & 7));
      return '0' + text;
    }
    case Kind::duration_ms:
    case Kind::duration_us: {
      int64_t ns = 0;
      if (__builtin_mul_overflow(value, kind == Kind::duration_ms ? 1'000'000 : 1000, &ns)) ns = value < 0 ? INT64_MIN : INT64_MAX;
      return duration_format(ns);
    }
    case Kind::time_ms: return timestamp_format_ms(value);
    case Kind::time_ns: return timestamp_format(value);
    default: return std::to_string(value);
  }
}

std::string_view number_expected(Kind kind) noexcept {
  switch (kind) {
    case Kind::cpus: return "a number with at most three decimals";
    case Kind::mode: return "octal text such as \"0644\"";
    case Kind::duration_ms:
    case Kind::duration_us: return "a duration such as 300ms, 1.5h or 1h30m";
    case Kind::time_ms:
    case Kind::time_ns: return "a time such as 2026-01-02T03:04:05Z";
    default: return "a whole number";
  }
}

}  // namespace svm::model
