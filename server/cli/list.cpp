// stacyvm list: which sandboxes there are.
#include <memory>

#include "client_options.hpp"
#include "commands.hpp"
#include "connection.hpp"
#include "failure.hpp"
#include "options.hpp"
#include "output.hpp"
#include "sandbox_list.hpp"
#include "table.hpp"

namespace cli {
namespace {

struct ListOptions {
  ClientOptions client;
  ListFilter filter;
};

int act(const ListOptions& options) {
  Connection connection(options.client);
  const std::vector<Page> pages = list_sandboxes(connection.session(), options.filter);
  if (options.client.json) return print(joined(pages) + '\n');
  Table table({"ID", "NAME", "STATE", "IMAGE", "CREATED", "EXPIRES"});
  for (const Page& page : pages)
    for (const Record& each : page.records)
      table.row({member(each, "id"), member(each, "name"), member(each, "state"), member(each, "image"), member(each, "created_at"), member(each, "expires_at")});
  return print(table.text());
}

}  // namespace

Verb add_list(CLI::App& app) {
  auto options = std::make_shared<ListOptions>();
  CLI::App* verb = app.add_subcommand("list", "List the sandboxes that there are, the newest first");
  add_list(*verb, "--label", options->filter.labels, "KEY=VALUE: only those with this label; repeat for more, all of which they have");
  add_text(*verb, "--state", options->filter.state, "creating, running or destroying: only those");
  add_text(*verb, "--owner", options->filter.owner, "Only those of this owner");
  add_client_options(*verb, options->client, "All there is to know of them, as a JSON array");
  return {verb, false, [options](const CommandWords&) { return answered("list", options->client, [&] { return act(*options); }); }};
}

}  // namespace cli
