#include "copy_side.hpp"

#include <stdexcept>

namespace cli {
namespace {

constexpr std::string_view kWorkspace = "/workspace";

std::string_view last_part(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == path.npos ? path : path.substr(slash + 1);
}

}  // namespace

std::string below(std::string_view directory, std::string_view name) {
  std::string out(directory);
  if (!out.ends_with('/')) out += '/';
  return out += name;
}

std::string_view CopySide::leaf() const { return contents ? std::string_view() : last_part(path); }

CopySide parse_side(const std::string& text) {
  CopySide side;
  if (text.empty()) throw std::invalid_argument("a path is empty");
  if (text == "-") {
    side.is_stream = true;
    return side;
  }
  const size_t colon = text.find(':');
  const bool inside = colon != text.npos && text[0] != '.' && text.find('/') > colon;
  side.path = inside ? text.substr(colon + 1) : text;
  if (inside) {
    side.sandbox = text.substr(0, colon);
    if (side.sandbox.empty()) throw std::invalid_argument("'" + text + "': expected SANDBOX:PATH; a file of that name here is ./" + text);
    if (side.path.empty()) side.path = ".";
    if (side.path[0] != '/') side.path = below(kWorkspace, side.path);
  }
  side.is_directory = side.path.ends_with('/');
  while (side.path.size() > 1 && side.path.ends_with('/')) side.path.pop_back();
  const std::string_view last = last_part(side.path);
  side.contents = last.empty() || last == "." || last == "..";
  if (side.contents) side.is_directory = true;
  return side;
}

}  // namespace cli
