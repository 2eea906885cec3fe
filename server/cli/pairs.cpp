#include "pairs.hpp"

#include <stdexcept>

namespace cli {

std::pair<std::string, std::string> parse_mount(const std::string& text, const std::string& cwd) {
  const size_t colon = text.rfind(":/");
  if (colon == std::string::npos || colon == 0 || colon + 2 == text.size())
    throw std::invalid_argument("mount '" + text + "': expected HOST:GUEST, GUEST an absolute path such as /data, not /");
  std::string host = text.substr(0, colon);
  if (host[0] != '/') host = cwd + '/' + host;
  return {std::move(host), text.substr(colon + 1)};
}

std::map<std::string, std::string> parse_pairs(const char* what, const std::vector<std::string>& texts) {
  std::map<std::string, std::string> pairs;
  for (const std::string& text : texts) {
    const size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0) throw std::invalid_argument(std::string(what) + " '" + text + "': expected NAME=VALUE");
    pairs[text.substr(0, equals)] = text.substr(equals + 1);
  }
  return pairs;
}

}  // namespace cli
