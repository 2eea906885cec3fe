// A tree of this machine as a tar archive.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

namespace cli {

struct Packing {
  /// Takes all of the bytes. What it throws is passed on.
  std::function<void(const void* bytes, size_t size)> write;
  /// Bytes of files that were read; a file was begun; something that is neither file, directory nor symbolic link was left out.
  std::function<void(uint64_t bytes)> took;
  std::function<void()> began_file;
  std::function<void(const std::string& path)> left_out;
};

/// Everything in the directory, which itself is not in it. Symbolic links stay what they are, other file systems are gone into. Throws
/// std::system_error, with the path, also where a file became shorter while it was read; std::runtime_error.
void pack(int directory, const Packing& packing);

}  // namespace cli
