// SHA-1 (RFC 3174), for the handshake of WebSockets (RFC 6455 section 4.2.2) and nothing else: it protects nothing there, and could not.
#pragma once
#include <string>
#include <string_view>

namespace svm::net {

/// The 20 bytes of the digest.
std::string sha1(std::string_view bytes);

}  // namespace svm::net
