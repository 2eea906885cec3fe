// Where a server is.
#pragma once
#include <string>
#include <string_view>

namespace svm::net {

/// Whether a location names a server and not a directory: an RFC 3986 scheme and "://".
bool has_scheme(std::string_view location) noexcept;

struct ServerAddress {
  std::string base;      // "https://example.org:8443/prefix": no slash at the end
  std::string host;      // "example.org", "[::1]": as in the address
  bool loopback = false; // it is this machine, by its name: no proxy is asked
};

inline constexpr size_t kMaxAddressBytes = 2048;

/// Takes "http://HOST[:PORT][/PATH]" and "https://..." apart. Error unsupported: another scheme; Error invalid: no such address. No message repeats what may be
/// a password. `field` is the parameter.
ServerAddress parse_server_address(std::string_view location, const std::string& field);

}  // namespace svm::net
