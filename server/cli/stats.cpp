// stacyvm stats: what sandboxes use.
#include <charconv>
#include <chrono>
#include <memory>
#include <thread>

#include "client_options.hpp"
#include "commands.hpp"
#include "connection.hpp"
#include "failure.hpp"
#include "options.hpp"
#include "output.hpp"
#include "sandbox_list.hpp"
#include "table.hpp"
#include "units.hpp"

namespace cli {
namespace {

constexpr std::chrono::seconds kInterval{1};

struct StatsOptions {
  ClientOptions client;
  std::vector<std::string> sandboxes;
  bool follow = false;
};

/// Of those that are named, or of all. What ends while all are looked at is left out.
std::vector<std::string> answers(Connection& connection, const std::vector<std::string>& named) {
  stacyvm::Session& session = connection.session();
  std::vector<std::string> all;
  for (const std::string& name : named) {
    try {
      all.push_back(session.call("sandbox.stats", {{"id", sandbox_of(connection, name).id()}}));
    } catch (const stacyvm::Error& error) {
      throw said_of(name, error);
    }
  }
  if (!named.empty()) return all;
  for (const Page& page : list_sandboxes(session, {.labels = {}, .state = "running", .owner = {}}))
    for (const Record& each : page.records) {
      try {
        all.push_back(session.call("sandbox.stats", {{"id", member(each, "id")}}));
      } catch (const stacyvm::Error& error) {
        if (error.code() != STACYVM_E_NOT_FOUND && error.code() != STACYVM_E_CLOSED) throw;
      }
    }
  return all;
}

/// "-" (an empty cell) is what this host does not tell.
std::string bytes_of(const Record& stats, const char* name) {
  const std::string text = member(stats, name);
  uint64_t bytes = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), bytes);
  return error == std::errc() && end == text.data() + text.size() ? format_bytes(bytes) : text;
}

std::string time_of(const Record& stats, const char* name) {
  const std::string text = member(stats, name);
  int64_t us = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), us);
  return error == std::errc() && end == text.data() + text.size() ? format_duration(us / 1000 * 1000) : text;
}

std::string json_of(const std::vector<std::string>& all) {
  std::string out;
  for (const std::string& each : all) out += (out.empty() ? "[" : ",") + each;
  return (out.empty() ? "[" : out) + "]\n";
}

std::string table_of(const std::vector<std::string>& all) {
  Table table({"ID", "CPU TIME", "MEMORY", "OF", "DISK", "OF", "PROCESSES", "OF", "COMMANDS", "UPTIME"});
  for (const std::string& json : all)
    for (const Record& each : records_of(json))
      table.row({member(each, "id"), time_of(each, "cpu_us"), bytes_of(each, "memory_bytes"), bytes_of(each, "memory_limit_bytes"), bytes_of(each, "disk_bytes"),
                 bytes_of(each, "disk_limit_bytes"), member(each, "pids"), member(each, "pids_limit"), member(each, "running_execs"), member(each, "uptime")});
  return table.text();
}

int act(const StatsOptions& options) {
  Connection connection(options.client);
  for (;;) {
    const std::vector<std::string> all = answers(connection, options.sandboxes);
    const int status = print(options.client.json ? json_of(all) : table_of(all));
    if (status != 0 || !options.follow) return status;
    std::this_thread::sleep_for(kInterval);
  }
}

}  // namespace

Verb add_stats(CLI::App& app) {
  auto options = std::make_shared<StatsOptions>();
  CLI::App* verb = app.add_subcommand("stats", "Tell what sandboxes use now, and of how much");
  add_words(*verb, "sandbox", options->sandboxes, "Ids or names; none: every sandbox that runs");
  verb->add_flag("-f,--follow", options->follow, "Again every second");
  add_client_options(*verb, options->client, "A JSON array; with --follow one a line");
  verb->footer("\"-\" is what the host does not tell, or a limit that it does not enforce; \"missing\" of --json says why.");
  return {verb, false, [options](const CommandWords&) { return answered("stats", options->client, [&] { return act(*options); }); }};
}

}  // namespace cli
