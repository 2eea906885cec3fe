#include "agent/temporary.hpp"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "agent/path.hpp"
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

int make_temporary_directory(int directory, std::string& name, Fd& out) {
  name = random_id(kPrefix);
  int error = ::mkdirat(directory, name.c_str(), 0700) < 0 ? -errno : 0;
  if (error == 0 && (error = open_child(directory, name, out)) != 0) (void)::unlinkat(directory, name.c_str(), AT_REMOVEDIR);
  if (error) name.clear();
  return error;
}

int place_symlink(int directory, const std::string& text, const std::string& leaf, bool replace) {
  if (!replace) return ::symlinkat(text.c_str(), directory, leaf.c_str()) < 0 ? -errno : 0;
  const std::string name = random_id(kPrefix);
  if (::symlinkat(text.c_str(), directory, name.c_str()) < 0) return -errno;
  if (::renameat2(directory, name.c_str(), directory, leaf.c_str(), 0) == 0) return 0;
  const int error = -errno;
  (void)::unlinkat(directory, name.c_str(), 0);
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
