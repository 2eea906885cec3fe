// Others' text on our terminal. Pure.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

namespace cli {

/// The text in one line, without anything that a terminal acts on or that shows it in another order than it has: control characters, invisible and
/// directional ones become "\n", "\x1b", "\u202e"; bytes that are not UTF-8 become "\xff".
std::string printable(std::string_view text);
/// How many characters a printable text has.
size_t characters(std::string_view text);

}  // namespace cli
