#include "sandbox_options.hpp"

#include <filesystem>

#include "options.hpp"
#include "output.hpp"
#include "pairs.hpp"
#include "units.hpp"

namespace cli {

void add_sandbox_options(CLI::App& verb, SandboxOptions& options) {
  add_text(verb, "--image", options.image, "host (default: this machine's /usr, read-only), a root file system's directory or tar");
  add_list(verb, "-e,--env", options.env, "NAME=VALUE for commands; repeat for more");
  add_list(verb, "--mount-ro", options.mounts, "HOST:GUEST: show a file or directory of this machine, read-only; repeat for more");
  add_value(verb, "-m,--memory", options.memory, parse_size, "Memory, such as 256m; enforced, or there is no sandbox");
  add_value(verb, "--cpus", options.cpus, parse_milli_cpus, "Processors, such as 0.5; enforced, or there is no sandbox");
  add_value(verb, "--pids,--pids-limit", options.pids, parse_count, "Processes and threads; enforced, or there is no sandbox");
  add_value(verb, "--disk", options.disk, parse_size, "Space for files, such as 1g; enforced, or there is no sandbox");
  add_text(verb, "-u,--user", options.user, "user (default), root, nobody, UID or UID:GID");
  add_text(verb, "--profile", options.profile, "default, debug (ptrace) or build (package installs)");
  verb.add_flag("--best-effort", options.best_effort, "Go without limits that the host cannot enforce");
}

stacyvm::Spawn spawn_of(const SandboxOptions& o) {
  stacyvm::Spawn spawn;
  spawn.image = o.image;
  spawn.profile = o.profile;
  spawn.user = o.user;
  if (!o.memory.empty()) spawn.memory_bytes = parse_size(o.memory);
  if (!o.disk.empty()) spawn.disk_bytes = parse_size(o.disk);
  if (!o.cpus.empty()) spawn.milli_cpus = parse_milli_cpus(o.cpus);
  if (!o.pids.empty()) spawn.pids = parse_count(o.pids);
  const std::string cwd = o.mounts.empty() ? std::string() : std::filesystem::current_path().string();
  for (const std::string& text : o.mounts) {
    auto [host, guest] = parse_mount(text, cwd);
    spawn.mounts.push_back({std::move(host), std::move(guest)});
  }
  for (auto& [name, value] : parse_pairs("env", o.env)) spawn.env.emplace_back(name, value);
  if (o.best_effort) spawn.flags |= STACYVM_SPAWN_BEST_EFFORT;
  return spawn;
}

void advise_on_limits(const stacyvm::Error& error, const SandboxOptions& options) {
  const bool cannot = error.code() == STACYVM_E_UNSUPPORTED || error.code() == STACYVM_E_UNAVAILABLE;
  if (cannot && options.asks_for_limits() && !options.best_effort)
    complain("if this host cannot enforce a limit: stacyvm probe tells which, --best-effort goes without");
}

}  // namespace cli
