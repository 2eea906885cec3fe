// The verbs. Each adds its options to the parser and returns what runs it; one file per verb.
#pragma once
#include <CLI/CLI.hpp>
#include <functional>

namespace cli {

using Command = std::function<int()>;

Command add_run(CLI::App& app);
Command add_probe(CLI::App& app);
Command add_version(CLI::App& app);

}  // namespace cli
