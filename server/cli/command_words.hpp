// The command of a verb that takes one.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "commands.hpp"

namespace cli {

/// What stood before and after "--". Nothing, and a complaint, where an option is not known.
std::optional<std::vector<std::string>> command_of(const CLI::App& verb, const CommandWords& words);
/// Throws std::invalid_argument where there is none.
void check_command(const std::vector<std::string>& command, const char* usage);

}  // namespace cli
