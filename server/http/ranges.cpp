#include "ranges.hpp"

#include <algorithm>
#include <limits>

#include "head.hpp"

namespace http {
namespace {

/// A number that is too large for the type is as good as the largest: no file has so many bytes.
std::optional<uint64_t> number_of(std::string_view text) noexcept {
  constexpr uint64_t kMost = std::numeric_limits<uint64_t>::max();
  if (text.empty()) return std::nullopt;
  uint64_t number = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    const auto digit = static_cast<uint64_t>(c - '0');
    number = number > (kMost - digit) / 10 ? kMost : number * 10 + digit;
  }
  return number;
}

}  // namespace

std::optional<std::vector<Range>> parse_ranges(std::string_view field, uint64_t size) {
  const size_t equals = field.find('=');
  if (equals == field.npos || !is_named(field.substr(0, equals), "bytes")) return std::nullopt;
  std::vector<Range> ranges;
  bool any = false;
  for (size_t at = equals + 1; at <= field.size();) {
    const size_t end = std::min(field.find(',', at), field.size());
    const std::string_view spec = trimmed(field.substr(at, end - at));
    at = end + 1;
    if (spec.empty()) continue;  // an element of a list may be empty (section 5.6.1)
    any = true;
    const size_t dash = std::min(spec.find('-'), spec.size());
    const std::string_view before = spec.substr(0, dash), after = spec.substr(std::min(dash + 1, spec.size()));
    const auto first = number_of(before), last = number_of(after);
    if (dash == spec.size() || (!first && !before.empty()) || (!last && !after.empty()) || (!first && !last) || (first && last && *first > *last)) return std::nullopt;
    if (size == 0) continue;
    if (first && *first < size)
      ranges.push_back({*first, std::min(last.value_or(size - 1), size - 1)});
    else if (!first && *last > 0)  // as many from the end
      ranges.push_back({size - std::min(*last, size), size - 1});
  }
  if (!any) return std::nullopt;
  return ranges;
}

}  // namespace http
