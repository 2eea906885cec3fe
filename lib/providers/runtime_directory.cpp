#include "providers/runtime_directory.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <string>

#include "core/error.hpp"

namespace svm::providers {
namespace {

std::string path() {
  const uid_t uid = ::geteuid();
  if (uid == 0) return "/run/stacyvm";
  // secure_getenv: a setuid host must not be led elsewhere by its caller.
  if (const char* runtime = ::secure_getenv("XDG_RUNTIME_DIR"); runtime && runtime[0] == '/' && ::access(runtime, W_OK) == 0)
    return std::string(runtime) + "/stacyvm";
  return "/tmp/stacyvm-" + std::to_string(uid);
}

}  // namespace

Fd open_runtime_directory() {
  const std::string name = path();
  if (::mkdir(name.c_str(), 0700) < 0 && errno != EEXIST) throw errno_error(Code::io, errno, "runtime directory");
  Fd directory(::open(name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat info {};
  if (!directory || ::fstat(directory.get(), &info) < 0) throw errno_error(Code::io, errno, "runtime directory");
  if (info.st_uid != ::geteuid() || (info.st_mode & 077) != 0)
    throw Error(Code::conflict, "runtime directory: somebody else's, or open to others").with("step", "runtime_directory");
  return directory;
}

}  // namespace svm::providers
