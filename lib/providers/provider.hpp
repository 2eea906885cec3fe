// A provider starts our agent inside an isolation boundary and hands back a session to it. That is all it knows.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "channel/channel.hpp"
#include "images/image.hpp"
#include "model/records.hpp"

namespace svm::providers {

/// Everything that is decided before a boundary is built; the gate resolved it.
struct LaunchSpec {
  std::string id;
  images::Root root;
  uint32_t id_base = 0;
  uint64_t memory_bytes = 0, disk_bytes = 0;
  uint32_t milli_cpus = 0, pids = 0;
  bool require_memory = false, require_disk = false, require_cpu = false, require_pids = false;  // written by the caller: enforce or fail
  std::string profile, user;
  std::vector<model::Mount> mounts;
  model::StringMap env;
};

/// What a sandbox uses now. -1: cannot be read, and `missing` says why: "cpu_us: ...".
struct Usage {
  int64_t cpu_us = -1, memory = -1, memory_peak = -1, pids = -1, oom_kills = -1;  // of its commands
  int64_t pids_refused = -1;  // processes that its limit refused; -1 needs no reason
  uint32_t open_streams = 0;
  std::vector<std::string> missing;
};

/// A running sandbox. Thread-safe.
class Session {
 public:
  virtual ~Session() = default;  // destroys without waiting
  /// Opens a stream to the agent: op with its encoded request (protocol/message.hpp). Throws Error closed after the end.
  virtual std::shared_ptr<channel::Stream> request(protocol::Op op, std::string payload) = 0;
  /// What is enforced (protocol::enforced_name) and which default limits are not, with the reason.
  virtual const std::vector<std::string>& enforced() const noexcept = 0;
  virtual const std::vector<std::string>& unenforced() const noexcept = 0;
  /// Does not wait for the agent.
  virtual Usage usage() = 0;
  /// Should its owner die, and sandboxes outlive that, it ends after so long. The last one counts.
  virtual void expire(int64_t in_ms) noexcept = 0;
  /// Ends it and waits until its processes, mounts and cgroups are gone; Error timeout if they are not in time. Idempotent.
  virtual void destroy(int64_t timeout_ms) = 0;
};

/// A sandbox that a former owner left.
struct Adopted {
  std::shared_ptr<Session> session;
  int64_t expires_in_ms = INT64_MAX;  // as its last Session::expire() had it, however wall clocks have jumped since; INT64_MAX: nobody knows
};

class Provider {
 public:
  virtual ~Provider() = default;
  virtual std::string_view name() const noexcept = 0;
  /// Throws Error where no sandbox could be started; repairs what it can. Has a deadline of its own.
  virtual void check() = 0;
  /// What its sandboxes can do, and how it is set up: for people; no paths of the host.
  virtual std::vector<std::string> capabilities() const = 0;
  virtual model::StringMap config() const = 0;
  /// Where each sandbox needs an id range of its own (model::kIdsPerRange ids): the host ids that may serve, [first, end).
  struct IdSpace {
    uint32_t first, end;
  };
  virtual std::optional<IdSpace> id_space() const noexcept = 0;
  /// Takes the range from `base` on for this instance; false when anything else on this machine has it. Released when the sandbox is gone.
  virtual bool claim_ids(uint32_t base) noexcept = 0;
  virtual void release_ids(uint32_t base) noexcept = 0;
  /// Builds the boundary and waits until the agent answers. Throws Error naming the step (fact "step"). `on_gone` runs once, on any
  /// thread, when the sandbox ends without destroy() having been asked; it must not block.
  virtual std::shared_ptr<Session> launch(const LaunchSpec& spec, int64_t timeout_ms, std::function<void()> on_gone) = 0;
  /// Sandboxes that a former owner left running, by LaunchSpec::id; once, before the first launch. Those that do not answer are not among them: they
  /// are ended. `on_gone(id)` gives each its launch()'s `on_gone`. Throws Error where none of them can be heard of: all are being ended then, and
  /// what is launched from here on has nothing to do with them.
  virtual std::map<std::string, Adopted> adopt(std::function<std::function<void()>(const std::string& id)> on_gone) = 0;
  /// Leaves what runs to the next owner. Sessions are of no use any more, and dropping them ends nothing.
  virtual void detach() noexcept = 0;
};

}  // namespace svm::providers
