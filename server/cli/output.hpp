// What commands print, and how they fail.
#pragma once
#include <stacyvm/stacyvm.hpp>

#include <string>
#include <string_view>

namespace cli {

/// We failed, and not the command: Docker's number for it.
inline constexpr int kExitOurs = 125;

/// "stacyvm: message" on stderr.
void complain(std::string_view message);
/// A quoted JSON string; bytes that are not UTF-8 become U+FFFD.
std::string json_string(std::string_view text);
bool is_utf8(std::string_view text);
std::string base64(std::string_view bytes);
/// Everything to a descriptor; false when it does not take it (closed pipe, full disk).
bool write_all(int fd, std::string_view bytes);

}  // namespace cli
