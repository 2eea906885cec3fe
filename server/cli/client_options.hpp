// Where the sandboxes are that a client verb is about, and how it answers.
#pragma once
#include <CLI/CLI.hpp>

#include "location.hpp"

namespace cli {

/// --server, --api-key, --api-key-file, --ca-file and --json. `options` lives as long as the parser.
void add_client_options(CLI::App& verb, ClientOptions& options, const char* json_help);

}  // namespace cli
