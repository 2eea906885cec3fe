// stacyvm kill: sandboxes end.
#include <list>
#include <memory>

#include "../text/text.hpp"
#include "client_options.hpp"
#include "commands.hpp"
#include "connection.hpp"
#include "failure.hpp"
#include "options.hpp"
#include "output.hpp"
#include "sandbox_list.hpp"

namespace cli {
namespace {

struct KillOptions {
  ClientOptions client;
  ListFilter filter;
  std::vector<std::string> sandboxes;
  bool all = false;
};

/// Sandboxes that end side by side.
class Killing {
 public:
  explicit Killing(const ClientOptions& options) : options_(options) {}

  void begin(Connection& connection, const std::string& name) {
    try {
      calls_.push_back({name, sandbox_of(connection, name).destroy_begin()});
    } catch (const stacyvm::Error& error) {
      failed(name, error);
    }
  }
  /// The exit status.
  int end() {
    for (Call& call : calls_) {
      try {
        call.op.wait();
        add(destroyed_, text::json_string(call.name));
        if (const int printed = options_.json ? 0 : print(call.name + '\n')) status_ = printed;
      } catch (const stacyvm::Error& error) {
        failed(call.name, error);
      }
    }
    if (options_.json) status_ = print("{\"destroyed\":[" + destroyed_ + "],\"failed\":[" + failed_ + "]}\n");
    return status_ == 0 && !failed_.empty() ? kExitOurs : status_;
  }

 private:
  struct Call {
    std::string name;
    stacyvm::Op op;
  };
  static void add(std::string& list, const std::string& json) { list += (list.empty() ? "" : ",") + json; }
  void failed(const std::string& name, const stacyvm::Error& error) {
    add(failed_, "{\"sandbox\":" + text::json_string(name) + ",\"error\":" + to_json(error) + '}');
    if (!options_.json) say("kill", said_of(name, error), options_);
  }

  const ClientOptions& options_;
  std::list<Call> calls_;
  std::string destroyed_, failed_;  // members of JSON arrays
  int status_ = 0;                  // of what was printed
};

int act(const KillOptions& options) {
  if (options.all != options.sandboxes.empty()) throw std::invalid_argument("name the sandboxes, or say --all");
  if (!options.all && !options.filter.labels.empty()) throw std::invalid_argument("--label is for --all");
  Connection connection(options.client);
  Killing killing(options.client);
  for (const std::string& name : options.sandboxes) killing.begin(connection, name);
  if (options.all)
    for (const Page& page : list_sandboxes(connection.session(), options.filter))
      for (const Record& each : page.records) killing.begin(connection, member(each, "id"));
  return killing.end();
}

}  // namespace

Verb add_kill(CLI::App& app) {
  auto options = std::make_shared<KillOptions>();
  CLI::App* verb = app.add_subcommand("kill", "End sandboxes, and all that is in them");
  add_words(*verb, "sandbox", options->sandboxes, "Ids or names");
  verb->add_flag("--all", options->all, "Every sandbox that there is");
  add_list(*verb, "--label", options->filter.labels, "KEY=VALUE: with --all only those with this label; repeat for more, all of which they have");
  add_client_options(*verb, options->client, "Which are gone and which are not, as a JSON object");
  verb->footer("Answers when nothing of them is left. What fails with one does not hold up the others; the exit status then is 125.");
  return {verb, false, [options](const CommandWords&) { return answered("kill", options->client, [&] { return act(*options); }); }};
}

}  // namespace cli
