#include "images/tar_path.hpp"

#include <algorithm>

#include "core/error.hpp"

namespace svm::images {

std::string normalize_tar_path(std::string_view name) {
  if (name.empty()) throw Error(Code::invalid, "an entry without a name");
  if (name.find('\0') != std::string_view::npos) throw Error(Code::invalid, "'" + printable(name) + "': a NUL in a name");
  std::string path;
  for (size_t at = 0; at <= name.size();) {
    const size_t slash = std::min(name.find('/', at), name.size());
    const std::string_view component = name.substr(at, slash - at);
    at = slash + 1;
    if (component.empty() || component == ".") continue;
    if (component == "..") throw Error(Code::invalid, "'" + printable(name) + "': a name with '..'");
    if (component.size() > kMaxTarComponentBytes || path.size() + !path.empty() + component.size() > kMaxTarPathBytes)
      throw Error(Code::invalid, "'" + printable(name) + "': the name is too long");
    if (!path.empty()) path += '/';
    path += component;
  }
  return path;
}

bool is_kernel_path(std::string_view normalized) noexcept {
  const std::string_view first = normalized.substr(0, normalized.find('/'));
  return first == "proc" || first == "sys" || first == "dev";
}

std::string printable(std::string_view bytes) {
  constexpr size_t kShown = 200;
  std::string text(bytes.substr(0, kShown));
  std::replace_if(text.begin(), text.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return bytes.size() > kShown ? text + "..." : text;
}

}  // namespace svm::images
