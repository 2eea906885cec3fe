// What the library and its launcher say over their SOCK_SEQPACKET pair: one datagram a message, descriptors beside it.
// Strict decoders, as in message.hpp. Pure code: no I/O.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/message.hpp"

namespace svm::protocol {

inline constexpr size_t kMaxLaunchMessage = 64 * 1024;  // bytes
inline constexpr uint32_t kMaxMounts = 64;

enum class LaunchType : uint8_t {
  init = 1,     // host: Init, with a pidfd of the host process
  online = 2,   // launcher: Online
  spawn = 3,    // host: Spawn, with the sandbox's end of its channel
  refused = 4,  // launcher: Refused; nothing of the sandbox is left
  kill = 5,     // host: Kill
  exited = 6,   // launcher: Exited; processes, mounts and cgroups of the sandbox are gone
  claim = 7,    // a new host, on a new connection: Claim, with a pidfd of its process
  claimed = 8,  // launcher: Claimed, with a pidfd of itself and what it holds for the host (see Init::holds); an Adopted for each sandbox follows
  adopted = 9,  // launcher: Adopted, with the host's end of a new channel
  expire = 10,  // host: Expire
};

inline constexpr size_t kOwnerKeyBytes = 32;
inline constexpr uint64_t kFirstToken = 16;  // smaller numbers name no sandbox

/// First message. The launcher makes its slim mount namespace and its cgroup parent, then answers Online. Descriptors, in this order: a pidfd of
/// the host process; where `holds`, one that the launcher keeps open and hands to the next owner; where `alone`, a file that the launcher locks
/// before it touches anything and for as long as it lives; where there is a key, a listening socket.
struct Init {
  std::string instance;  // instance id: names the cgroup parent; 1 to 64 letters, digits, '-'
  bool rootless = false;
  bool holds = false;
  bool alone = false;
  bool detached = false; // sandboxes outlive the host, and whoever knows the key may become their owner
  std::string key;       // kOwnerKeyBytes; empty: nobody but this host ever owns the sandboxes
  bool operator==(const Init&) const = default;
};

/// What the launcher found. An errno of 0 means available.
struct Online {
  int32_t error = 0;  // the launcher cannot work at all: why, at which step
  Step step{};
  int32_t memory_error = 0, swap_error = 0, cpu_error = 0, pids_error = 0;
  uint8_t cgroup_version = 0;  // 0 none, 1, 2
  bool operator==(const Online&) const = default;
};

enum class RootKind : uint8_t { host = 0, directory = 1, empty = 2 };

struct HostMount {
  std::string host, guest;  // absolute
  uint64_t device = 0, inode = 0;  // of what the host resolved; the launcher refuses anything else there
  bool writable = false;
  bool operator==(const HostMount&) const = default;
};

struct Spawn {
  uint64_t token = 0;       // the host's name for this sandbox
  std::string name;         // cgroup directory name: 1 to 64 letters, digits, '-'
  RootKind root{};
  std::string rootfs;       // RootKind::directory: absolute; otherwise empty
  uint64_t rootfs_device = 0, rootfs_inode = 0;
  uint32_t id_base = 0;     // first host id of the sandbox's range; rootless: unused
  uint32_t uid = 0, gid = 0;  // the default user inside
  bool fixed_user = false;  // rootless: the one mapped id is `uid`
  Profile profile{};
  std::string hostname;     // at most 64 letters, digits, '-', '.'; empty: none is set
  uint64_t memory = 0, disk = 0, inodes = 0;  // bytes, bytes, count; memory 0: no limit
  uint32_t milli_cpus = 0, pids = 0;          // 0: no limit
  bool require_memory = false, require_cpu = false, require_pids = false;  // refuse rather than go without
  std::vector<HostMount> mounts;
  bool operator==(const Spawn&) const = default;
};

struct Refused { uint64_t token = 0; StepFailure failure; bool operator==(const Refused&) const = default; };
struct Kill { uint64_t token = 0; bool operator==(const Kill&) const = default; };
struct Exited { uint64_t token = 0; int32_t wait_status = 0; uint64_t oom_kills = 0; bool operator==(const Exited&) const = default; };

/// From then on the connection is the host's, as if it had started the launcher.
struct Claim {
  std::string key;        // kOwnerKeyBytes
  bool detached = false;  // as Init's
  bool operator==(const Claim&) const = default;
};
struct Claimed {
  int32_t error = 0;      // EPERM: not the key, or not the user; EBUSY: there is an owner. Nothing follows
  Online online;
  bool holds = false;
  uint32_t sandboxes = 0; // as many Adopted follow
  bool operator==(const Claimed&) const = default;
};
/// A sandbox that lives. Its agent waits for `resume` on the channel.
struct Adopted {
  uint64_t token = 0;
  std::string name;
  uint64_t expires_in_ms = INT64_MAX;  // by the last Expire, and by a clock that nobody sets; INT64_MAX: there was none
  bool operator==(const Adopted&) const = default;
};
/// Without an owner the launcher ends the sandbox after so long; the last one counts.
struct Expire { uint64_t token = 0; uint64_t in_ms = 0; bool operator==(const Expire&) const = default; };

struct LaunchMessage {
  LaunchType type{};
  Init init;
  Online online;
  Spawn spawn;
  Refused refused;
  Kill kill;
  Exited exited;
  Claim claim;
  Claimed claimed;
  Adopted adopted;
  Expire expire;
};
void encode(std::string& out, const Init& v);
void encode(std::string& out, const Online& v);
void encode(std::string& out, const Spawn& v);
void encode(std::string& out, const Refused& v);
void encode(std::string& out, const Kill& v);
void encode(std::string& out, const Exited& v);
void encode(std::string& out, const Claim& v);
void encode(std::string& out, const Claimed& v);
void encode(std::string& out, const Adopted& v);
void encode(std::string& out, const Expire& v);
bool decode(std::string_view in, LaunchMessage& v);

}  // namespace svm::protocol
