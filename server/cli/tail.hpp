// The end of a text. Pure.
#pragma once
#include <cstddef>
#include <string_view>

namespace cli {

/// The last lines, so many or as many as there are. The last one may lack its newline.
std::string_view last_lines(std::string_view text, size_t lines);

}  // namespace cli
