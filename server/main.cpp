// The stacyvm executable.
#include <stacyvm/stacyvm.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <cstring>
#include <exception>
#include <sstream>
#include <utility>
#include <vector>

#include "cli/commands.hpp"
#include "cli/descriptors.hpp"
#include "cli/failure.hpp"
#include "cli/output.hpp"

using namespace cli;

namespace {

/// Help and version go to standard output and are a success; everything else is a mistake in how we were called.
int answer_parser(const CLI::App& app, const CLI::ParseError& error, bool json) {
  std::ostringstream out, unused;
  if (app.exit(error, out, unused) == 0) return print(out.str());
  const auto verbs = app.get_subcommands();
  std::string message = error.what();
  // The parser only sees that there is no verb.
  if (const auto words = app.remaining(); verbs.empty() && !words.empty())
    message = (words.front().starts_with('-') ? "unknown option " : "unknown verb ") + words.front();
  say_mistake(message, "see stacyvm " + (verbs.empty() ? "" : verbs.front()->get_name() + ' ') + "--help", json);
  return kExitOurs;
}

int act(int argc, char** argv) {
  // What follows "--" is the command's, byte for byte: the parser would take brackets, braces and empty words apart.
  int dashes = 1;
  while (dashes < argc && std::strcmp(argv[dashes], "--") != 0) ++dashes;
  const CommandWords words{dashes < argc, {argv + std::min(dashes + 1, argc), argv + argc}};

  CLI::App app{"Disposable, isolated computers for programs", "stacyvm"};
  app.require_subcommand(1);
  app.set_version_flag("--version", std::string("stacyvm ") + stacyvm_version_string(), "Print the version and exit");
  const Verb verbs[] = {add_run(app),  add_spawn(app), add_exec(app),   add_shell(app), add_cp(app),    add_list(app),    add_kill(app),      add_logs(app),
                        add_events(app), add_stats(app), add_serve(app), add_probe(app), add_version(app), add_completion(app), add_man(app)};
  try {
    app.parse(dashes, argv);
  } catch (const CLI::ParseError& error) {
    // It may have stopped before it came to --json.
    return answer_parser(app, error, std::any_of(argv + 1, argv + dashes, [](const char* word) { return std::strcmp(word, "--json") == 0; }));
  }
  for (const Verb& verb : verbs) {
    if (!verb.app->parsed()) continue;
    if (words.dashes && !verb.takes_command) {
      complain(verb.app->get_name() + " takes no command: nothing may follow --");
      return kExitOurs;
    }
    return verb.act(words);
  }
  return kExitOurs;  // the parser has asked for a verb
}

}  // namespace

int main(int argc, char** argv) {
  // A reader that goes away is an error of write, not the end of us: the sandbox is still to be destroyed.
  std::signal(SIGPIPE, SIG_IGN);
  try {
    occupy_standard_descriptors();
    return act(argc, argv);
  } catch (const std::exception& error) {
    complain(error.what());
    return kExitOurs;
  }
}
