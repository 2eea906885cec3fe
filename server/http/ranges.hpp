// The Range field of a request (RFC 9110 section 14). Pure; fuzzed.
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace http {

/// Bytes from `first` to `last`, both among them.
struct Range {
  uint64_t first, last;
  bool operator==(const Range&) const = default;
};

/// What a field asks for of `size` bytes: the ranges that there are, each within the bytes, in the order of the field; none: it asks for nothing that there
/// is. Nothing: it is not to be heeded, for it is of another unit or malformed.
std::optional<std::vector<Range>> parse_ranges(std::string_view field, uint64_t size);

}  // namespace http
