// The embedded executable. Its modes: launcher (one per instance), guest (process 1 of a sandbox), probe (what this host can enforce).
#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <string>

#include "agent/agent.hpp"
#include "core/bytes.hpp"
#include "core/fd.hpp"
#include "isolation/probe.hpp"
#include "isolation/syscalls.hpp"
#include "launcher/guest.hpp"
#include "launcher/launcher.hpp"

namespace {

constexpr int kUsage = 64;
constexpr int kHostFd = 3;  // launcher: its socket; probe: where rows go

int guest(const char* enforced) {
  using namespace svm::launcher;
  svm::agent::AgentOptions options;
  options.channel = kChannelFd;
  options.life = kLifeFd;
  options.control = ::fcntl(kControlFd, F_GETFD) >= 0 ? kControlFd : -1;
  options.oom = ::fcntl(kOomFd, F_GETFD) >= 0 ? kOomFd : -1;
  for (int i = 0; i < kCommandGroupFds; ++i)
    if (::fcntl(kCommandGroupFd + i, F_GETFD) >= 0) options.command_groups[options.command_group_count++] = kCommandGroupFd + i;
  options.enforced = std::strtoull(enforced, nullptr, 16);
  return svm::agent::run(options);
}

/// Rows as the protocol's byte strings: count, then name, meaning, error, value, detail.
int probe() {
  (void)svm::isolation::syscall_result(svm::isolation::kSysCloseRange, kHostFd + 1, ~0u, 0);  // a row says whether the call is there
  static svm::isolation::ProbeRow rows[svm::isolation::kMaxProbeRows];
  const unsigned count = svm::isolation::probe_host(rows);
  std::string out;
  svm::ByteWriter writer(out);
  writer.u32(count);
  for (unsigned i = 0; i < count; ++i) {
    writer.bytes(rows[i].name);
    writer.bytes(rows[i].meaning);
    writer.i32(rows[i].error);
    writer.i64(rows[i].value);
    writer.bytes(rows[i].detail);
  }
  return svm::write_all(kHostFd, out.data(), out.size()) == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && std::strcmp(argv[1], "launcher") == 0) return svm::launcher::run(kHostFd);
  if (argc == 3 && std::strcmp(argv[1], "guest") == 0) return guest(argv[2]);
  if (argc == 2 && std::strcmp(argv[1], "probe") == 0) return probe();
  return kUsage;
}
