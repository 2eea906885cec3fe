// Durations as Go writes them, because the wire's clients do: "300ms", "1.5h", "1h30m".
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace svm::model {

/// Go's grammar: an optional sign, then "0" or one or more NUMBER UNIT, units ns us µs μs ms s m h. False beyond the range of int64
/// nanoseconds (292 years) and for anything else. Fractions finer than a nanosecond are dropped, as Go drops them.
bool duration_parse(std::string_view text, int64_t& ns) noexcept;
/// As Go formats: "0s", "1.5µs", "127.3ms", "1m42s", "2h0m0s".
std::string duration_format(int64_t ns);

/// Milliseconds, away from zero: a duration that somebody wrote never becomes "none".
int64_t duration_ms(int64_t ns) noexcept;

}  // namespace svm::model
