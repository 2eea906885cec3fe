#include <cstdio>
#include <memory>

#include "commands.hpp"
#include "output.hpp"

namespace cli {

Command add_version(CLI::App& app) {
  auto json = std::make_shared<bool>(false);
  CLI::App* verb = app.add_subcommand("version", "Print the version");
  verb->add_flag("--json", *json, "As a JSON object");
  return [json] {
    std::printf(*json ? "{\"version\":\"%s\"}\n" : "stacyvm %s\n", stacyvm_version_string());
    return 0;
  };
}

}  // namespace cli
