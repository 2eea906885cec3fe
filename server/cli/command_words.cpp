#include "command_words.hpp"

#include <stdexcept>

#include "failure.hpp"

namespace cli {

std::optional<std::vector<std::string>> command_of(const CLI::App& verb, const CommandWords& words) {
  std::vector<std::string> command = verb.remaining();
  if (!command.empty() && command[0].starts_with('-') && command[0] != "-") {
    const CLI::Option* json = verb.get_option_no_throw("--json");
    say_mistake(verb.get_name() + ": unknown option " + command[0], "see stacyvm " + verb.get_name() + " --help", json && json->count() > 0);
    return std::nullopt;
  }
  if (words.dashes && !command.empty()) command.emplace_back("--");
  command.insert(command.end(), words.after.begin(), words.after.end());
  return command;
}

void check_command(const std::vector<std::string>& command, const char* usage) {
  if (command.empty()) throw std::invalid_argument(std::string("no command; give one after --, as in: stacyvm ") + usage + " -- sh -c 'echo hello'");
  if (command[0].empty()) throw std::invalid_argument("the command's name is empty");
}

}  // namespace cli
