// How options that are texts are added to the parser.
#pragma once
#include <CLI/CLI.hpp>
#include <stdexcept>
#include <string>
#include <vector>

namespace cli {

/// One text; of several the parser complains.
CLI::Option* add_text(CLI::App& verb, const char* names, std::string& value, const char* help);
/// One text that `parse` takes; what it throws is said with the option's name, before anything is done.
template <typename Parse>
CLI::Option* add_value(CLI::App& verb, const char* names, std::string& value, Parse parse, const char* help) {
  return add_text(verb, names, value, help)->check(CLI::Validator([parse](std::string& text) {
    try {
      (void)parse(text);
      return std::string();
    } catch (const std::invalid_argument& error) {
      return std::string(error.what());
    }
  }, ""));
}
/// A text each time it is given, as it is: the parser would take brackets and commas apart.
CLI::Option* add_list(CLI::App& verb, const char* names, std::vector<std::string>& values, const char* help);

/// The words that no option takes.
CLI::Option* add_words(CLI::App& verb, const char* name, std::vector<std::string>& values, const char* help);

}  // namespace cli
