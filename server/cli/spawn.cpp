// stacyvm spawn: a sandbox that stays.
#include <memory>

#include "client_options.hpp"
#include "commands.hpp"
#include "connection.hpp"
#include "failure.hpp"
#include "options.hpp"
#include "output.hpp"
#include "pairs.hpp"
#include "sandbox_options.hpp"
#include "units.hpp"
#include "waiting.hpp"

namespace cli {
namespace {

struct SpawnOptions {
  ClientOptions client;
  SandboxOptions sandbox;
  std::string name, idempotency_key, ttl, template_name, timeout, owner;
  std::vector<std::string> labels;
  bool get_or_create = false;
};

stacyvm::Spawn spawn_of(const SpawnOptions& o) {
  stacyvm::Spawn spawn = spawn_of(o.sandbox);
  spawn.name = o.name;
  spawn.owner = o.owner;
  spawn.idempotency_key = o.idempotency_key;
  spawn.template_name = o.template_name;
  if (!o.ttl.empty()) spawn.ttl = std::chrono::milliseconds(parse_duration_ms(o.ttl));
  if (!o.timeout.empty()) spawn.timeout = std::chrono::milliseconds(parse_duration_ms(o.timeout));
  for (auto& [key, value] : parse_pairs("label", o.labels)) spawn.labels.emplace_back(key, value);
  if (o.get_or_create && o.name.empty()) throw std::invalid_argument("--get-or-create is for a sandbox with a --name");
  if (o.get_or_create) spawn.flags |= STACYVM_SPAWN_GET_OR_CREATE;
  return spawn;
}

int act(const SpawnOptions& options) {
  const stacyvm::Spawn spawn = spawn_of(options);
  Signals signals;  // before the library's threads
  try {
    Connection connection(options.client, signals, Connection::Missing::is_made);
    stacyvm::Op op = connection.session().spawn_begin(spawn);
    wait_for(op, signals);
    stacyvm::Sandbox sandbox = op.sandbox();
    return print((options.client.json ? sandbox.info() : sandbox.id()) + '\n');
  } catch (const stacyvm::Error& error) {
    if (options.client.json) throw;
    say("spawn", error, options.client);
    advise_on_limits(error, options.sandbox);
    return kExitOurs;
  }
}

}  // namespace

Verb add_spawn(CLI::App& app) {
  auto options = std::make_shared<SpawnOptions>();
  CLI::App* verb = app.add_subcommand("spawn", "Start a sandbox that stays, and print its id");
  add_sandbox_options(*verb, options->sandbox);
  add_text(*verb, "--name", options->name, "A name that no other live sandbox has; other verbs take it for the id");
  verb->add_flag("--get-or-create", options->get_or_create, "Answer the sandbox of that name if there is one that was asked for in the same way");
  add_text(*verb, "--idempotency-key", options->idempotency_key, "For 24 hours the same key with the same options answers the same sandbox");
  add_value(*verb, "--ttl", options->ttl, parse_duration_ms, "How long it lives, such as 90s or 2h (default 30m, at most 24h)");
  add_list(*verb, "--label", options->labels, "KEY=VALUE: a label of it; repeat for more");
  add_text(*verb, "--owner", options->owner, "Whose it is, for lists and limits");
  add_text(*verb, "--template", options->template_name, "A template: what it says holds where nothing is said here");
  add_value(*verb, "--timeout", options->timeout, parse_duration_ms, "Of its commands that have none of their own, such as 30s");
  add_client_options(*verb, options->client, "What there is to know of the sandbox, as a JSON object");
  verb->footer(
      "id=$(stacyvm spawn --memory 256m); stacyvm exec $id -- make; stacyvm kill $id\n"
      "It ends when its time is over or stacyvm kill ends it, whatever becomes of the server. With --server DIRECTORY no server is needed: the sandbox\n"
      "is kept in the state directory, which one command at a time can use.");
  return {verb, false, [options](const CommandWords&) { return answered("spawn", options->client, [&] { return act(*options); }); }};
}

}  // namespace cli
