// What a sandbox is made of, as run and spawn are told.
#pragma once
#include <stacyvm/stacyvm.hpp>

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace cli {

struct SandboxOptions {
  std::string image, user, profile, memory, cpus, disk, pids;
  std::vector<std::string> env, mounts;
  bool best_effort = false;

  bool asks_for_limits() const { return !memory.empty() || !cpus.empty() || !disk.empty() || !pids.empty(); }
};

/// `options` lives as long as the parser.
void add_sandbox_options(CLI::App& verb, SandboxOptions& options);
/// What is asked of the library. Throws std::invalid_argument for what cannot be.
stacyvm::Spawn spawn_of(const SandboxOptions& options);
/// Where a failure may be that the host cannot enforce a limit that was asked for: says what to do.
void advise_on_limits(const stacyvm::Error& error, const SandboxOptions& options);

}  // namespace cli
