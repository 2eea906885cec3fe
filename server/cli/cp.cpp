// stacyvm cp: files and trees, in and out.
#include <unistd.h>

#include <memory>
#include <stdexcept>

#include "client_options.hpp"
#include "commands.hpp"
#include "connection.hpp"
#include "copy.hpp"
#include "failure.hpp"
#include "options.hpp"
#include "output.hpp"

namespace cli {
namespace {

struct CpOptions {
  ClientOptions client;
  std::string from, to;
  bool no_progress = false;
};

int act(const CpOptions& options) {
  const CopySide from = parse_side(options.from), to = parse_side(options.to);
  if (from.inside() == to.inside())
    throw std::invalid_argument(from.inside() ? "one side is to be on this machine: copy in two steps" : "neither side is in a sandbox: SANDBOX:PATH is one");
  if (to.is_stream && options.client.json) throw std::invalid_argument("--json: standard output gets the file");
  Signals signals;  // before the library's threads
  Connection connection(options.client, signals);
  stacyvm::Sandbox sandbox = sandbox_of(connection, from.inside() ? from.sandbox : to.sandbox);
  const bool progress = !options.no_progress && !options.client.json && ::isatty(STDERR_FILENO) == 1;
  CopyContext context{connection.session(), sandbox, signals, progress};
  const Copied copied = (from.inside() ? download : upload)(context, from, to);
  if (!options.client.json) return 0;
  return print("{\"bytes\":" + std::to_string(copied.bytes) + ",\"files\":" + std::to_string(copied.files) + "}\n");
}

}  // namespace

Verb add_cp(CLI::App& app) {
  auto options = std::make_shared<CpOptions>();
  CLI::App* verb = app.add_subcommand("cp", "Copy files and directories into a sandbox or out of one");
  add_text(*verb, "source", options->from, "PATH or SANDBOX:PATH; \"-\": standard input")->required();
  add_text(*verb, "destination", options->to, "SANDBOX:PATH or PATH; \"-\": standard output")->required();
  verb->add_flag("--no-progress", options->no_progress, "No line on a terminal that tells how far it is");
  add_client_options(*verb, options->client, "How many bytes and files it was, as a JSON object");
  verb->footer(
      "stacyvm cp ./src box:/workspace; stacyvm cp box:report.pdf .; tar c . | stacyvm cp - box:/tmp/all.tar\n"
      "A destination that is a directory gets the source in it, or with SOURCE/. what is in the source. A path inside that is not absolute begins in\n"
      "/workspace; a file here with \":\" in its name is ./NAME. Permissions and, on the way out, times are kept; owners, setuid and setgid are not.\n"
      "What fails or is interrupted leaves no part of a file, and of a directory only what went into one that was there.");
  return {verb, false, [options](const CommandWords&) { return answered("cp", options->client, [&] { return act(*options); }); }};
}

}  // namespace cli
