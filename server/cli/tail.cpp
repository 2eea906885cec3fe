#include "tail.hpp"

namespace cli {

std::string_view last_lines(std::string_view text, size_t lines) {
  size_t at = text.size();
  if (at > 0 && text[at - 1] == '\n') --at;  // it ends the last line
  for (; at > 0; --at)
    if (text[at - 1] == '\n' && --lines == 0) break;
  return text.substr(at);
}

}  // namespace cli
