// stacyvm logs: what the commands of a sandbox wrote.
#include <memory>
#include <optional>

#include "../text/text.hpp"
#include "client_options.hpp"
#include "commands.hpp"
#include "connection.hpp"
#include "failure.hpp"
#include "options.hpp"
#include "output.hpp"
#include "records.hpp"
#include "tail.hpp"
#include "units.hpp"

namespace cli {
namespace {

struct LogsOptions {
  ClientOptions client;
  std::string sandbox, tail;
  bool follow = false;
};

/// Prints what a console's stream says, from a place in the whole output on.
class Printer {
 public:
  Printer(bool json, int64_t from) : json_(json), from_(from) {}

  /// The exit status.
  int all_of(stacyvm::Stream stream) {
    stacyvm_chunk chunk;
    while (stream.next(chunk) == stacyvm::Stream::Next::chunk)
      if (const int status = take(chunk)) return status;
    return 0;
  }

 private:
  int take(const stacyvm_chunk& chunk) {
    if (chunk.kind == STACYVM_CHUNK_GAP) return gap(chunk.position);
    if (chunk.kind != STACYVM_CHUNK_STDOUT && chunk.kind != STACYVM_CHUNK_STDERR) return 0;
    std::string_view bytes(static_cast<const char*>(chunk.data), chunk.size);
    if (chunk.position < from_) bytes.remove_prefix(static_cast<size_t>(std::min<int64_t>(from_ - chunk.position, static_cast<int64_t>(bytes.size()))));
    if (bytes.empty()) return 0;
    any_ = true;
    const bool error = chunk.kind == STACYVM_CHUNK_STDERR;
    if (!json_) return pass_on(error, bytes);
    return print(std::string("{\"stream\":\"") + (error ? "stderr" : "stdout") + "\"," + text::json_bytes_member("data", std::string(bytes)) + "}\n");
  }

  /// Where the output begins there is always one: what is older is not kept.
  int gap(int64_t position) {
    if (json_) return print("{\"stream\":\"gap\",\"position\":" + std::to_string(position) + "}\n");
    if (any_) complain("some output is missing here: it came faster than it was read");
    return 0;
  }

  const bool json_;
  const int64_t from_;
  bool any_ = false;
};

/// Where the last lines of what is kept begin.
int64_t tail_of(stacyvm::Sandbox& sandbox, uint32_t lines) {
  std::string kept;
  int64_t end = 0;
  stacyvm::Stream stream = sandbox.console();
  stacyvm_chunk chunk;
  while (stream.next(chunk) == stacyvm::Stream::Next::chunk) {
    if (chunk.kind == STACYVM_CHUNK_GAP) kept.clear();
    if (chunk.kind != STACYVM_CHUNK_STDOUT && chunk.kind != STACYVM_CHUNK_STDERR) continue;
    kept.append(static_cast<const char*>(chunk.data), chunk.size);
    end = chunk.position + static_cast<int64_t>(chunk.size);
  }
  return end - static_cast<int64_t>(last_lines(kept, lines).size());
}

bool has_ended(Connection& connection, const std::string& id) {
  try {
    const std::vector<Record> records = records_of(connection.session().call("sandbox.get", {{"id", id}}));
    return records.empty() || member(records.front(), "state") == "destroying";
  } catch (const stacyvm::Error& error) {
    if (error.code() == STACYVM_E_NOT_FOUND) return true;
    throw;
  }
}

int act(const LogsOptions& options) {
  const std::optional<uint32_t> lines = options.tail.empty() ? std::nullopt : std::optional(parse_count(options.tail));
  Connection connection(options.client);
  stacyvm::Sandbox sandbox = sandbox_of(connection, options.sandbox);
  Printer printer(options.client.json, lines ? tail_of(sandbox, *lines) : 0);
  try {
    return printer.all_of(sandbox.console(options.follow ? STACYVM_CONSOLE_FOLLOW : 0));
  } catch (const stacyvm::Error& error) {
    // That it has ended is what is waited for; also its agent's end means no more.
    if (options.follow && error.code() == STACYVM_E_CLOSED && has_ended(connection, sandbox.id())) return 0;
    throw;
  }
}

}  // namespace

Verb add_logs(CLI::App& app) {
  auto options = std::make_shared<LogsOptions>();
  CLI::App* verb = app.add_subcommand("logs", "Print what the commands of a sandbox wrote: the last 64 KiB of it");
  add_text(*verb, "sandbox", options->sandbox, "The sandbox's id or name")->required();
  verb->add_flag("-f,--follow", options->follow, "Go on with what comes, until the sandbox ends");
  add_value(*verb, "-n,--tail", options->tail, parse_count, "Only the last lines, so many");
  add_client_options(*verb, options->client, "A JSON object a line: stream and data, or data_b64 where it is not UTF-8");
  verb->footer("What a command wrote to standard output or error goes to ours, byte for byte.");
  return {verb, false, [options](const CommandWords&) { return answered("logs", options->client, [&] { return act(*options); }); }};
}

}  // namespace cli
