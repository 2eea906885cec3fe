// Many sandboxes at once.
#include <sys/resource.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <utility>
#include <vector>

#include "scenarios.hpp"

namespace bench {
namespace {
namespace fs = std::filesystem;

constexpr double kSpawnTarget = 1.5, kMemoryTarget = 1024;  // ratio to the first; KiB each
constexpr unsigned kSample = 30;  // sandboxes started for one figure
constexpr int kCommands = 100;
constexpr const char* kTrue = "/bin/true";

/// What the machine has to give, in KiB: with the page tables, control groups and network namespaces that no process's figure has.
double available_memory() {
  std::ifstream in("/proc/meminfo");
  std::string name;
  for (double kib; in >> name >> kib; in.ignore(64, '\n'))
    if (name == "MemAvailable:") return kib;
  throw std::runtime_error("/proc/meminfo has no MemAvailable");
}

double open_descriptors() {
  return static_cast<double>(std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator()));
}

double threads() { return static_cast<double>(std::distance(fs::directory_iterator("/proc/self/task"), fs::directory_iterator())); }

/// As many descriptors as this process may have: each sandbox's channel is one, and its handles none.
void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) < 0) throw std::runtime_error("getrlimit");
  limit.rlim_cur = limit.rlim_max;
  if (::setrlimit(RLIMIT_NOFILE, &limit) < 0) throw std::runtime_error("setrlimit");
}

using Sandboxes = std::vector<std::unique_ptr<Sandbox>>;

/// Starts sandboxes until there are `count`.
void fill(Sandboxes& sandboxes, const Library& library, size_t count) {
  while (sandboxes.size() < count) sandboxes.push_back(std::make_unique<Sandbox>(library));
}

std::vector<double> times_of_spawns(Sandboxes& sandboxes, const Library& library) {
  std::vector<double> times;
  for (unsigned i = 0; i < kSample; ++i) times.push_back(microseconds([&] { fill(sandboxes, library, sandboxes.size() + 1); }));
  return times;
}

std::vector<double> times_of_commands(const Sandboxes& sandboxes) {
  std::vector<double> times;
  for (int i = 0; i < kCommands; ++i)
    times.push_back(microseconds([&] { sandboxes[static_cast<size_t>(i) % sandboxes.size()]->exec(kTrue); }));
  return times;
}

}  // namespace

void measure_scale(const Context& context, const Library& library) {
  raise_descriptor_limit();
  const unsigned all = context.counts.live;
  const auto row = [&](const std::string& what, const std::string& regime, std::vector<double> ours, Unit unit = Unit::microseconds, double target = 0) {
    Row made{context.identity, what, regime, "", target, unit};
    made.ours = std::move(ours);
    return made;
  };
  const auto compared = [&](Row made, const std::vector<double>& first) {
    made.other = "among none", made.others = first;
    write_row(context.out, made);
  };
  Sandbox(library).destroy();  // the first one starts what is started once
  const double memory = available_memory(), descriptors = open_descriptors();
  Sandboxes sandboxes;
  const std::vector<double> first_spawns = times_of_spawns(sandboxes, library);
  const std::vector<double> first_commands = times_of_commands(sandboxes);
  write_row(context.out, row("live: spawn", "among none", first_spawns));
  fill(sandboxes, library, all / 10);
  compared(row("live: spawn", "among " + std::to_string(sandboxes.size()), times_of_spawns(sandboxes, library)), first_spawns);
  fill(sandboxes, library, all - kSample);
  const std::string regime = "among " + std::to_string(sandboxes.size());
  compared(row("live: spawn", regime, times_of_spawns(sandboxes, library), Unit::microseconds, kSpawnTarget), first_spawns);
  compared(row("live: exec", regime, times_of_commands(sandboxes)), first_commands);
  const auto each = [&](double before, double after) { return std::vector<double>{(after - before) / static_cast<double>(sandboxes.size())}; };
  write_row(context.out, row("live: memory", "each", each(available_memory(), memory), Unit::kibibytes, kMemoryTarget));
  write_row(context.out, row("live: fds", "each", each(descriptors, open_descriptors()), Unit::count));
  write_row(context.out, row("live: threads", "in all", {threads()}, Unit::count));
  const double ended = microseconds([&] {
    for (const auto& sandbox : sandboxes) sandbox->destroy();
  });
  write_row(context.out, row("live: destroy", "each", {ended / static_cast<double>(sandboxes.size())}));
  sandboxes.clear();
  const double created = microseconds([&] { sandboxes = spawn_at_once(library, std::max(all / 5, 1U)); });
  write_row(context.out, row("creates", "at once", {static_cast<double>(sandboxes.size()) / (created / 1'000'000)}, Unit::per_second));
  for (const auto& sandbox : sandboxes) sandbox->destroy();
}

}  // namespace bench
