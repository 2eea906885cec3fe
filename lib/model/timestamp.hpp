// Times as RFC 3339 text, always UTC on output.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace svm::model {

/// "2026-01-02T03:04:05.678Z": up to 9 fractional digits, trailing zeros trimmed. The whole range of int64 nanoseconds fits.
std::string timestamp_format(int64_t unix_ns);
/// The same from milliseconds; outside the years 0000 to 9999 it is the nearest such time.
std::string timestamp_format_ms(int64_t unix_ms);
/// Any RFC 3339 date-time whose nanoseconds fit int64; offsets are applied. Leap seconds, lower case and missing zones are refused.
bool timestamp_parse(std::string_view text, int64_t& unix_ns) noexcept;

}  // namespace svm::model
