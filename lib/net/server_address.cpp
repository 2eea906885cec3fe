#include "net/server_address.hpp"

#include <algorithm>

#include "core/error.hpp"

namespace svm::net {
namespace {

bool is_scheme(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.'; }

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

}  // namespace

bool has_scheme(std::string_view location) noexcept {
  const size_t colon = location.find("://");
  if (colon == std::string_view::npos || colon == 0) return false;
  return std::all_of(location.begin(), location.begin() + static_cast<std::ptrdiff_t>(colon), is_scheme);
}

ServerAddress parse_server_address(std::string_view location, const std::string& field) {
  const auto refuse = [&](const std::string& why) { return Error(Code::invalid, field + ": " + why).with("field", field); };
  if (location.size() > kMaxAddressBytes)
    throw refuse("a server's address of more than " + std::to_string(kMaxAddressBytes) + " bytes").with("limit", static_cast<long long>(kMaxAddressBytes));
  const size_t colon = location.find("://");
  std::string scheme(location.substr(0, colon));
  std::transform(scheme.begin(), scheme.end(), scheme.begin(), lower);
  if (scheme != "http" && scheme != "https") throw Error(Code::unsupported, field + ": a server's address begins with http:// or https://").with("field", field);
  std::string_view rest = location.substr(colon + 3);
  const auto is_plain = [](char c) { return c > ' ' && c < 0x7f && c != '\\' && c != '"' && c != '<' && c != '>'; };
  if (!std::all_of(rest.begin(), rest.end(), is_plain)) throw refuse("a server's address is visible ASCII");
  if (rest.find_first_of("?#") != rest.npos) throw refuse("a server's address has no query and no fragment");
  while (rest.ends_with('/')) rest.remove_suffix(1);
  const std::string_view authority = rest.substr(0, rest.find('/'));
  if (authority.find('@') != authority.npos) throw refuse("a server's address has no user and no password: a session has an api_key");
  // The port is behind the last colon, unless that is inside an IPv6 address.
  const size_t bracket = authority.rfind(']'), port_colon = authority.rfind(':');
  const bool has_port = port_colon != authority.npos && (bracket == authority.npos || port_colon > bracket);
  ServerAddress address;
  address.host = authority.substr(0, has_port ? port_colon : authority.npos);
  if (address.host.empty()) throw refuse("a server's address without a host");
  if (has_port) {
    const std::string_view port = authority.substr(port_colon + 1);
    const bool digits = !port.empty() && port.size() <= 5 && port.find_first_not_of("0123456789") == port.npos;
    if (!digits || std::stoul(std::string(port)) > 65535 || std::stoul(std::string(port)) == 0) throw refuse("the port is not in 1 to 65535");
  }
  std::string name = address.host;
  std::transform(name.begin(), name.end(), name.begin(), lower);
  address.loopback = name == "localhost" || name == "[::1]" || name.starts_with("127.");
  address.base = scheme + "://" + std::string(rest);
  return address;
}

}  // namespace svm::net
