// "HOST:GUEST" and "NAME=VALUE" as they are written on a command line. Pure.
#pragma once
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace cli {

/// Splits at the last ":/", so that the host's path may have colons. GUEST is absolute; a relative HOST starts at `cwd`, which is
/// absolute. Throws std::invalid_argument with a sentence for the user.
std::pair<std::string, std::string> parse_mount(const std::string& text, const std::string& cwd);

/// NAME=VALUE, each; of two with one name the later one holds. A value may be empty and have further "=". `what` they are is for the message.
/// Throws as parse_mount.
std::map<std::string, std::string> parse_pairs(const char* what, const std::vector<std::string>& texts);

}  // namespace cli
