#include "agent/temporary.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "core/id.hpp"

namespace svm::agent {
namespace {
constexpr char kPrefix[] = ".stacyvm-";
}

int make_temporary(int directory, int access, std::string& name, Fd& out) {
  name = random_id(kPrefix);
  out.reset(::openat(directory, name.c_str(), access | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (out) return 0;
  const int error = -errno;
  name.clear();
  return error;
}

void remove_temporary(const Rights& rights, const Identity& who, int directory, std::string& name) noexcept {
  if (name.empty()) return;
  const ActAs as(rights, who);
  // ENOENT: the sandbox removed it itself.
  if (as.error() == 0) (void)::unlinkat(directory, name.c_str(), 0);
  name.clear();
}

}  // namespace svm::agent
