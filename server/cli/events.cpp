// stacyvm events: what happens.
#include <algorithm>
#include <charconv>
#include <memory>
#include <stdexcept>

#include "../text/text.hpp"
#include "client_options.hpp"
#include "commands.hpp"
#include "connection.hpp"
#include "failure.hpp"
#include "options.hpp"
#include "output.hpp"
#include "printable.hpp"
#include "records.hpp"

namespace cli {
namespace {

struct EventsOptions {
  ClientOptions client;
  std::string since, sandbox;
  std::vector<std::string> types;
  bool follow = true;
};

/// "evt-12" or "12".
int64_t parse_event(const std::string& text) {
  std::string_view number = text;
  if (number.starts_with("evt-")) number.remove_prefix(4);
  int64_t id = 0;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), id);
  if (error != std::errc() || end != number.data() + number.size() || id < 0)
    throw std::invalid_argument("since '" + text + "': expected an event's id such as evt-12; 0: all that are kept");
  return id;
}

struct Filter {
  std::string sandbox_id;
  const std::vector<std::string>& types;

  std::string json() const {
    std::string out;
    if (!sandbox_id.empty()) out += "\"sandbox_id\":" + text::json_string(sandbox_id);
    for (size_t i = 0; i < types.size(); ++i) out += (i == 0 ? (out.empty() ? "\"types\":[" : ",\"types\":[") : ",") + text::json_string(types[i]);
    if (!types.empty()) out += ']';
    return out.empty() ? out : '{' + out + '}';
  }
  bool passes(const Record& event) const {
    const std::string type = member(event, "type");
    if (type.starts_with("events.")) return true;  // of the stream itself
    return (sandbox_id.empty() || member(event, "sandbox_id") == sandbox_id) && (types.empty() || std::find(types.begin(), types.end(), type) != types.end());
  }
};

std::string line_of(const Record& event) {
  std::string out = member(event, "timestamp") + "  " + member(event, "type");
  for (const char* name : {"sandbox_id", "data"})
    if (const std::string text = member(event, name); !text.empty() && text != "{}") out += "  " + text;
  return printable(out) + '\n';
}

/// A sandbox that has ended has its id still, and no name any more.
std::string id_of(Connection& connection, const std::string& sandbox) {
  return sandbox.empty() || sandbox.starts_with("sb-") ? sandbox : sandbox_of(connection, sandbox).id();
}

/// How many events there have been: the id of the last one.
int64_t last_event(Connection& connection) {
  const std::vector<Record> metrics = records_of(connection.session().call("system.metrics"));
  const std::vector<Record> counts = records_of(member(metrics.at(0), "events"));
  return parse_event(member(counts.at(0), "events_total"));
}

int act(const EventsOptions& options) {
  // -1: those to come.
  const int64_t since = options.since.empty() ? (options.follow ? -1 : 0) : parse_event(options.since);
  Connection connection(options.client);
  const Filter filter{id_of(connection, options.sandbox), options.types};
  stacyvm::Stream stream = connection.session().events(since, filter.json());  // the library judges the filter
  int64_t last = INT64_MAX;
  if (!options.follow) {
    // Where those end that pass a filter shows only in a stream of all.
    last = last_event(connection);
    if (since >= last) return 0;
    stream = connection.session().events(since);
  }
  stacyvm_chunk chunk;
  while (stream.next(chunk) == stacyvm::Stream::Next::chunk) {
    if (chunk.kind != STACYVM_CHUNK_EVENT) continue;
    const std::string json(static_cast<const char*>(chunk.data), chunk.size);
    const int64_t position = chunk.position;
    const std::vector<Record> event = records_of(json);
    if (filter.passes(event.at(0)))
      if (const int status = print(options.client.json ? json + '\n' : line_of(event.at(0)))) return status;
    if (position >= last) return 0;
  }
  return 0;
}

}  // namespace

Verb add_events(CLI::App& app) {
  auto options = std::make_shared<EventsOptions>();
  CLI::App* verb = app.add_subcommand("events", "Tell what happens to sandboxes, a line each");
  add_text(*verb, "--since", options->since, "The id of an event: those after it first; 0: all that are kept");
  add_list(*verb, "--type", options->types, "Only events of this type, such as exec.completed; repeat for more");
  add_text(*verb, "--sandbox", options->sandbox, "Only those of this sandbox, by id or name");
  verb->add_flag("--follow,!--no-follow", options->follow, "Go on with what comes (the default), or end after what there is: then all that are kept, without --since");
  add_client_options(*verb, options->client, "A JSON object a line, with the event's id");
  verb->footer("A reader that gives the last id it saw as --since misses nothing, also after a restart of the server.");
  return {verb, false, [options](const CommandWords&) { return answered("events", options->client, [&] { return act(*options); }); }};
}

}  // namespace cli
