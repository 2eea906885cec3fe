// How options that are texts are added to the parser.
#pragma once
#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace cli {

/// One text; of several the parser complains.
CLI::Option* add_text(CLI::App& verb, const char* names, std::string& value, const char* help);
/// A text each time it is given, as it is: the parser would take brackets and commas apart.
CLI::Option* add_list(CLI::App& verb, const char* names, std::vector<std::string>& values, const char* help);

/// The words that no option takes.
CLI::Option* add_words(CLI::App& verb, const char* name, std::vector<std::string>& values, const char* help);

}  // namespace cli
