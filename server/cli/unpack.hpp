// A tar archive that a sandbox sent, onto this machine. Nothing in it is believed: libarchive writes it with all that it has against archives that
// mean harm, into a directory that nobody else has.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>

namespace cli {

struct Unpacking {
  /// The next bytes of the archive, at most so many; 0: its end. What it throws is passed on.
  std::function<size_t(void* into, size_t most)> read;
  /// Bytes of files that were written; a file was begun.
  std::function<void(uint64_t bytes)> wrote;
  std::function<void()> began_file;
};

/// Unpacks all of it into a directory that is empty, and this process's working directory meanwhile. Files, directories, symbolic links as they are, and
/// hard links to what came before. Permissions without setuid, setgid and sticky; times; no owners. Throws std::runtime_error, with the entry's name,
/// for a name that is absolute or has "..", whatever would go through a symbolic link, devices, FIFOs, sockets, and an archive that is damaged.
void unpack(int directory, const Unpacking& unpacking);

}  // namespace cli
