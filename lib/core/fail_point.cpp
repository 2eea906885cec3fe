#include "core/fail_point.hpp"

#ifdef SVM_FAIL_POINTS
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "core/fd.hpp"

namespace svm::fail_point {
namespace {

constexpr char kFile[] = "STACYVM_FAIL_POINTS";
constexpr char kOne[] = "STACYVM_FAIL_POINT";  // "<action>:<name>", of a process that cannot reach the file
constexpr int kKilledStatus = 128 + SIGKILL;

Armed g_one;

Armed* find_table() noexcept {
  if (const char* one = ::getenv(kOne)) {
    char* colon = nullptr;
    g_one.action = static_cast<int32_t>(std::strtol(one, &colon, 10));
    if (*colon == ':') std::snprintf(g_one.name, sizeof g_one.name, "%s", colon + 1);
    return &g_one;
  }
  const char* path = ::getenv(kFile);
  if (!path) return nullptr;
  const Fd file(::open(path, O_RDWR | O_CLOEXEC));
  if (!file) return nullptr;
  void* at = ::mmap(nullptr, sizeof(Armed), PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
  return at == MAP_FAILED ? nullptr : static_cast<Armed*>(at);
}

/// Looked for once, before the process loses sight of the file or of its memory allocator.
Armed* table() noexcept {
  static Armed* const found = find_table();
  return found;
}

}  // namespace

int pass(const char* name) noexcept {
  Armed* const armed = table();
  if (!armed || armed->action.load() == kNone || std::strcmp(armed->name, name) != 0) return 0;
  uint32_t left = armed->skip.load();
  while (left > 0)
    if (armed->skip.compare_exchange_weak(left, left - 1)) return 0;
  const int32_t action = armed->action.exchange(kNone);
  if (action == kKill) {
    ::kill(::getpid(), SIGKILL);
    for (;;) ::syscall(SYS_exit_group, kKilledStatus);  // process 1 of a sandbox, which no signal of its own reaches
  }
  return action;
}

const char* environment() noexcept {
  static char text[4096];
  const char* path = ::getenv(kFile);
  if (!path) return nullptr;
  std::snprintf(text, sizeof text, "%s=%s", kFile, path);
  return text;
}

const char* environment_of(const char* prefix, char (&text)[kEnvironmentBytes]) noexcept {
  Armed* const armed = table();
  if (!armed || armed->action.load() == kNone || std::strncmp(armed->name, prefix, std::strlen(prefix)) != 0) return nullptr;
  const int32_t action = armed->action.exchange(kNone);
  if (action == kNone) return nullptr;
  std::snprintf(text, sizeof text, "%s=%d:%s", kOne, action, armed->name);
  return text;
}

}  // namespace svm::fail_point
#endif
