// What is measured. Each runs what is compared in turn, so that both see the same machine in the same second.
#pragma once
#include <functional>
#include <string>

#include "library.hpp"
#include "samples.hpp"

namespace bench {

/// How often. A tight loop hides what the kernel defers (attaching a process to a control group waits 10 ms for a grace period, but only
/// after an idle moment), so most is measured in both regimes.
struct Counts {
  int spawn_tight, spawn_idle, spawn_mounts, exec_tight, exec_idle, unpack, files;
  uint64_t file_bytes;
  unsigned tar_files;
  unsigned live;  // sandboxes at once
  int containers; // one command in runc and in docker; 0: not at all
};

struct Context {
  const Counts& counts;
  std::string identity;   // "root" or "rootless"
  std::string state_dir;  // empty, on a disk
  int out;                // where rows go
};

double microseconds(const std::function<void()>& act);

/// Spawn, first command, destroy; beside bwrap, which does those three for one command. `regime` is "tight", "idle" or "mounts".
void measure_spawn(const Context& context, const Library& library, const std::string& regime, int count);
/// The same beside runc and docker, where they are; as root.
void measure_containers(const Context& context, const Library& library);
/// A command in a sandbox that runs, beside posix_spawn and waitpid of the same program on the host.
void measure_exec(const Context& context, const Library& library);
/// One large file in and out.
void measure_files(const Context& context, const Library& library);
/// `counts.live` sandboxes at once: how long one takes to start among none, a tenth and all of them, what one costs in memory and
/// descriptors, how long a command in one of them takes, and how many start per second when asked for all at once.
void measure_scale(const Context& context, const Library& library);
/// `server`: the stacyvm executable. A command over HTTP beside one in this process, answers per second, a fresh GET among open streams, and sandboxes
/// created by several callers at once.
void measure_http(const Context& context, const Library& library, const std::string& server);
/// A sandbox from a tar of many small files, beside tar's unpacking of it into a tmpfs.
void measure_unpack(const Context& context, const Library& library);

}  // namespace bench
