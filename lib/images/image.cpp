// From a reference to a root: what it is, and whether it can be one.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdlib>
#include <memory>

#include "core/error.hpp"
#include "images/image.hpp"
#include "images/tar_reader.hpp"

namespace svm::images {
namespace {

/// What a root file system must not have as anything but a directory: the sandbox mounts its own over them, and a link would say where.
constexpr const char* kMountPoints[] = {"dev", "proc", "sys", "dev/pts", "dev/shm"};

/// As it may stand in a one-line message.
std::string printable(std::string_view reference) {
  std::string out(reference.substr(0, 200));
  for (char& c : out)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  return out;
}

std::string absolute_path(const std::string& path) {
  const std::unique_ptr<char, void (*)(void*)> resolved(::realpath(path.c_str(), nullptr), ::free);
  if (resolved) return resolved.get();
  const int error = errno;
  if (error == ENOENT || error == ENOTDIR) throw Error(Code::not_found, "image: no such directory or archive: " + path);
  throw errno_error(error, "image: " + path);
}

void check_directory(int directory) {
  for (const char* name : kMountPoints) {
    struct stat info;
    if (::fstatat(directory, name, &info, AT_SYMLINK_NOFOLLOW) == 0) {
      if (!S_ISDIR(info.st_mode)) throw Error(Code::invalid, std::string("image: ") + name + " is not a directory");
    } else if (errno != ENOENT) {
      throw errno_error(errno, std::string("image: ") + name);
    }
  }
}

void check_archive(Fd file) {
  try {
    TarReader reader(open_source(std::move(file)));
    TarEntry entry;
    if (!reader.next(entry)) throw Error(Code::invalid, "the archive has no entries");
  } catch (Error& error) {
    error.prefix("image");
    throw;
  }
}

}  // namespace

bool is_path(std::string_view reference) noexcept { return reference.starts_with('/') || reference.starts_with('.'); }

bool has_tag(std::string_view name) noexcept {
  name.remove_prefix(name.rfind('/') + 1);  // a registry may have a port; npos + 1 is 0
  return name.find_first_of(":@") != std::string_view::npos;
}

Root resolve(std::string_view reference, bool local_caller) {
  if (reference == "host") return {};
  if (!is_path(reference))
    throw Error(Code::unsupported, "image " + printable(reference) + ": not available: this build provides \"host\", rootfs directories (/... or ./...) and "
                             "rootfs tars; a registry's image needs the docker provider")
        .with("field", "image");
  // Before anything is looked up: whether a path exists is not for others to know.
  if (!local_caller) throw Error(Code::forbidden, "image: only a local caller may name a path").with("field", "image");
  if (reference.find('\0') != std::string_view::npos) throw Error(Code::invalid, "image: a NUL in the path").with("field", "image");

  Root root;
  root.path = absolute_path(std::string(reference));
  // Not to wait for a FIFO, not to take a terminal.
  Fd file(::open(root.path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (!file) throw errno_error(errno, "image: " + root.path);
  struct stat info;
  if (::fstat(file.get(), &info) < 0) throw errno_error(errno, "image: " + root.path);
  root.device = info.st_dev;
  root.inode = info.st_ino;
  if (S_ISDIR(info.st_mode)) {
    root.kind = RootKind::directory;
    check_directory(file.get());
  } else if (S_ISREG(info.st_mode)) {
    root.kind = RootKind::tar;
    check_archive(std::move(file));
  } else {
    throw Error(Code::invalid, "image: neither a directory nor an archive: " + root.path).with("field", "image");
  }
  return root;
}

}  // namespace svm::images
