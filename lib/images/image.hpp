// What a sandbox's root is made from.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "core/fd.hpp"

namespace svm::images {

enum class RootKind { host, directory, tar };

/// A root that exists and was checked. The device and inode are of what was checked, so that a later swap of the path is noticed.
struct Root {
  RootKind kind = RootKind::host;
  std::string path;  // directory, tar: absolute, symlinks resolved
  uint64_t device = 0, inode = 0;
};

/// Whether it names a path of the host, and not an image.
bool is_path(std::string_view reference) noexcept;

/// Whether the name of an image says which of its kind it is, "alpine:3" or "alpine@sha256:...": one that does not is the kind's "latest".
bool has_tag(std::string_view name) noexcept;

/// "host" -> host; an existing directory (absolute, or starting with '.') -> directory after the rootfs checks (dev, proc, sys,
/// dev/pts, dev/shm absent or real directories, not symlinks; Error invalid names the path inside); a file whose first member
/// libarchive can read as tar (plain, gzip, zstd, xz, bzip2) -> tar. Anything else: Error unsupported that says what would provide it
/// (a registry reference needs the docker provider or an image store). Only called for local callers when it is a path: others get
/// Error forbidden before. A missing path: Error not_found... never a host path in the message unless the caller is local.
Root resolve(std::string_view reference, bool local_caller);

}  // namespace svm::images
