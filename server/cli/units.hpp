// Sizes, durations and numbers as people write them. Pure. Each throws std::invalid_argument with a sentence for the user.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace cli {

/// "256m", "1g", "512k", "1048576" ("1.5g" is none): whole numbers with an optional b, k, m, g or t (powers of 1,024), upper or
/// lower case. More than zero; at most 2^62 bytes.
uint64_t parse_size(std::string_view text);
/// "30s", "1m30s", "500ms", "2h": whole numbers with units in any order. To milliseconds, more than zero, at most 24 h.
int64_t parse_duration_ms(std::string_view text);
/// "0.5", "2": processors to thousandths, more than zero, at most 1,024, at most three decimals.
uint32_t parse_milli_cpus(std::string_view text);
/// "64": a number of things, from 1 to 2^32 - 1.
uint32_t parse_count(std::string_view text);
/// "0 B", "512 B", "1.5 KiB", "2.0 GiB".
std::string format_bytes(uint64_t bytes);
/// As Go formats what is not negative, and the library's own answers do: "0s", "15µs", "1.5ms", "2.25s", "1m0.5s", "1h0m0s".
std::string format_duration(int64_t us);

}  // namespace cli
