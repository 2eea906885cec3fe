// stacyvm version.
#include <stacyvm/stacyvm.h>

#include <memory>

#include "../text/text.hpp"
#include "commands.hpp"
#include "output.hpp"

namespace cli {

Verb add_version(CLI::App& app) {
  auto json = std::make_shared<bool>(false);
  CLI::App* verb = app.add_subcommand("version", "Print the version");
  verb->add_flag("--json", *json, "As a JSON object");
  return {verb, false, [json](const CommandWords&) {
            const std::string version = stacyvm_version_string();
            return print(*json ? "{\"version\":" + text::json_string(version) + "}\n" : "stacyvm " + version + '\n');
          }};
}

}  // namespace cli
