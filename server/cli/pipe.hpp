// Between us and the library, for trees.
#pragma once
#include <cstddef>

#include "descriptor.hpp"
#include "signals.hpp"

namespace cli {

/// Who read what we write has gone: that is no failure of ours, and nobody is left to be told.
struct ReaderGone {};

struct Pipe {
  Pipe();  ///< Throws std::system_error.
  Descriptor read, write;
};

/// Waits for bytes and reads at most so many; 0: the end. The descriptor does not block. Throws std::system_error and Interrupted.
size_t read_some(int fd, void* into, size_t most, Signals& signals);
/// Writes all, waiting for room. The descriptor does not block, or is a file. False: nobody reads any more. Throws as read_some.
bool write_all(int fd, const void* bytes, size_t size, Signals& signals);
/// The same for our own standard output, which is shared with others and blocks.
bool write_shared(int fd, const void* bytes, size_t size, Signals& signals);

}  // namespace cli
