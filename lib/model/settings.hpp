// What whoever opens an instance decides for everybody who uses it. Members and their spelling are those of the server's configuration.
#pragma once
#include <algorithm>
#include <cstdint>
#include <string>

#include "model/limits.hpp"
#include "model/requests.hpp"

namespace svm::model {

/// What a spawn or a command gets that does not say, and the most that it may say. 0 and "": the library's own.
struct Defaults {
  std::string image, provider;
  uint64_t memory_bytes = 0, disk_bytes = 0;
  uint32_t milli_cpus = 0, pids = 0;
  int64_t ttl_ms = 0, max_ttl_ms = 0;
  int64_t default_exec_timeout_ms = 0;  // of a command that has none, in a sandbox that has none; 0: the maximum
  int64_t max_exec_timeout_ms = 0;      // 0: a command may do without
  uint32_t max_sandboxes = 0;
  uint32_t max_sandboxes_per_owner = 0;  // 0: no limit of its own

  int64_t most_ttl_ms() const noexcept { return max_ttl_ms != 0 ? max_ttl_ms : kMaxTtlMs; }
  int64_t usual_ttl_ms() const noexcept { return std::min(ttl_ms != 0 ? ttl_ms : kDefaultTtlMs, most_ttl_ms()); }
  uint32_t most_sandboxes() const noexcept { return max_sandboxes != 0 ? max_sandboxes : kMaxSandboxes; }
  uint64_t usual_memory() const noexcept { return memory_bytes != 0 ? memory_bytes : kDefaultMemoryBytes; }
  uint64_t usual_disk() const noexcept { return disk_bytes != 0 ? disk_bytes : kDefaultDiskBytes; }
  uint32_t usual_cpus() const noexcept { return milli_cpus != 0 ? milli_cpus : kDefaultMilliCpus; }
  uint32_t usual_pids() const noexcept { return pids != 0 ? pids : kDefaultPids; }
};

struct Images {
  StringMap aliases;  // an image's name to what it stands for: "host", or an absolute path of the host
};

/// How a server is reached. Of an instance that is one.
struct Remote {
  std::string ca_file;             // PEM; "": the system's certificates
  int64_t connect_timeout_ms = 0;  // 0: kDefaultConnectTimeoutMs
};

struct Settings {
  Defaults defaults;
  Images images;
  Remote remote;
};

}  // namespace svm::model
