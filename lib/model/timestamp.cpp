#include "model/timestamp.hpp"

#include <algorithm>

namespace svm::model {
namespace {

constexpr int64_t kNs = 1'000'000'000;
constexpr int64_t kDay = 86'400;
constexpr int64_t kFirstSecond = -62'167'219'200;  // 0000-01-01T00:00:00Z
constexpr int64_t kLastSecond = 253'402'300'799;   // 9999-12-31T23:59:59Z

// Days since 1970-01-01 of a proleptic Gregorian date, and back (Howard Hinnant's days_from_civil).
int64_t days_of(int64_t year, int64_t month, int64_t day) {
  year -= month <= 2;
  const int64_t era = (year >= 0 ? year : year - 399) / 400;
  const int64_t year_of_era = year - era * 400;
  const int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  const int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return era * 146'097 + day_of_era - 719'468;
}

void date_of(int64_t days, int64_t& year, int64_t& month, int64_t& day) {
  days += 719'468;
  const int64_t era = (days >= 0 ? days : days - 146'096) / 146'097;
  const int64_t day_of_era = days - era * 146'097;
  const int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36'524 - day_of_era / 146'096) / 365;
  const int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const int64_t shifted = (5 * day_of_year + 2) / 153;
  day = day_of_year - (153 * shifted + 2) / 5 + 1;
  month = shifted + (shifted < 10 ? 3 : -9);
  year = year_of_era + era * 400 + (month <= 2);
}

void append_padded(std::string& out, int64_t value, size_t width) {
  const std::string digits = std::to_string(value);
  out.append(width > digits.size() ? width - digits.size() : 0, '0');
  out += digits;
}

std::string format(int64_t seconds, int64_t nanoseconds) {
  int64_t days = seconds / kDay, rest = seconds % kDay;
  if (rest < 0) {
    rest += kDay;
    --days;
  }
  int64_t year = 0, month = 0, day = 0;
  date_of(days, year, month, day);
  std::string out;
  append_padded(out, year, 4);
  out += '-';
  append_padded(out, month, 2);
  out += '-';
  append_padded(out, day, 2);
  out += 'T';
  append_padded(out, rest / 3600, 2);
  out += ':';
  append_padded(out, rest / 60 % 60, 2);
  out += ':';
  append_padded(out, rest % 60, 2);
  if (nanoseconds != 0) {
    out += '.';
    append_padded(out, nanoseconds, 9);
    while (out.back() == '0') out.pop_back();
  }
  return out + 'Z';
}

// Exactly `width` digits at the front of `text`.
bool take_number(std::string_view& text, size_t width, int64_t& value) {
  if (text.size() < width) return false;
  value = 0;
  for (const char c : text.substr(0, width)) {
    if (c < '0' || c > '9') return false;
    value = value * 10 + (c - '0');
  }
  text.remove_prefix(width);
  return true;
}

bool take(std::string_view& text, char c) {
  if (text.empty() || text[0] != c) return false;
  text.remove_prefix(1);
  return true;
}

int64_t days_in_month(int64_t year, int64_t month) {
  constexpr int64_t kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
  return kDays[month - 1] + (month == 2 && leap);
}

}  // namespace

std::string timestamp_format(int64_t unix_ns) {
  int64_t seconds = unix_ns / kNs, rest = unix_ns % kNs;
  if (rest < 0) {
    rest += kNs;
    --seconds;
  }
  return format(seconds, rest);
}

std::string timestamp_format_ms(int64_t unix_ms) {
  int64_t seconds = unix_ms / 1000, rest = unix_ms % 1000;
  if (rest < 0) {
    rest += 1000;
    --seconds;
  }
  if (seconds < kFirstSecond || seconds > kLastSecond) rest = 0;
  return format(std::clamp(seconds, kFirstSecond, kLastSecond), rest * 1'000'000);
}

bool timestamp_parse(std::string_view text, int64_t& unix_ns) noexcept {
  int64_t year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0, nanoseconds = 0;
  if (!take_number(text, 4, year) || !take(text, '-') || !take_number(text, 2, month) || !take(text, '-') || !take_number(text, 2, day) ||
      !take(text, 'T') || !take_number(text, 2, hour) || !take(text, ':') || !take_number(text, 2, minute) || !take(text, ':') ||
      !take_number(text, 2, second))
    return false;
  if (month < 1 || month > 12 || day < 1 || day > days_in_month(year, month) || hour > 23 || minute > 59 || second > 59) return false;
  if (take(text, '.')) {
    int64_t digit = 0, place = kNs / 10;
    if (!take_number(text, 1, digit)) return false;
    do {
      nanoseconds += digit * place;
      place /= 10;
    } while (place > 0 && take_number(text, 1, digit));
  }
  int64_t offset = 0;
  if (!take(text, 'Z')) {
    const bool west = take(text, '-');
    int64_t hours = 0, minutes = 0;
    if ((!west && !take(text, '+')) || !take_number(text, 2, hours) || !take(text, ':') || !take_number(text, 2, minutes) || hours > 23 ||
        minutes > 59)
      return false;
    offset = (west ? -60 : 60) * (hours * 60 + minutes);
  }
  if (!text.empty()) return false;
  const int64_t seconds = days_of(year, month, day) * kDay + hour * 3600 + minute * 60 + second - offset;
  // Before 1970 the multiplication alone may leave the range although the sum does not: count from the next second.
  const bool before = seconds < 0;
  int64_t value = 0;
  if (__builtin_mul_overflow(seconds + before, kNs, &value)) return false;
  return !__builtin_add_overflow(value, before ? nanoseconds - kNs : nanoseconds, &unix_ns);
}

}  // namespace svm::model
