// stacyvm probe: what this host can enforce.
#include <stacyvm/stacyvm.hpp>

#include <memory>

#include "commands.hpp"
#include "output.hpp"

namespace cli {

Verb add_probe(CLI::App& app) {
  auto json = std::make_shared<bool>(false);
  CLI::App* verb = app.add_subcommand("probe", "Tell what this host can enforce, found by trying it");
  verb->add_flag("--json", *json, "The report as JSON");
  return {verb, false, [json](const CommandWords&) { return print(*json ? stacyvm::host_report() + '\n' : stacyvm::host_report_text()); }};
}

}  // namespace cli
