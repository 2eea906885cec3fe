// Reads a root file system's tar, entry by entry, in one pass.
#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "images/byte_source.hpp"
#include "images/image.hpp"
#include "images/tar_header.hpp"

namespace svm::images {

struct TarEntry {
  enum class Type : uint8_t { file, directory, symlink, hardlink };
  Type type{};
  std::string path;    // bytes, relative to the root, normalised, never empty
  uint32_t mode = 0;   // within 01777: setuid and setgid are dropped
  uint64_t size = 0;   // of a file
  std::string target;  // symlink: its text, as it is; hardlink: the path, as above, of a file that came before
  bool repeated = false;  // a directory that came before, by itself or as part of a name
};

/// What one archive may cost. Beyond: Error limit, whose fact "limit" names the member.
struct TarLimits {
  uint64_t entries = 1'000'000;        // those that are skipped too
  uint64_t bytes = 64ull << 30;        // of the archive, decompressed
  uint64_t path_bytes = 256ull << 20;  // of all names and targets together
  uint64_t ratio = 200;                // decompressed bytes for each one read, beyond ratio_free; not 0
  uint64_t ratio_free = 64ull << 20;
  bool kernel_paths = false;           // entries below proc, sys and dev are read: the archive is no root file system
};

/// Owners, times and extended attributes are read over. Entries below proc, sys and dev, devices, FIFOs and the root itself are skipped.
/// Refused, by Error invalid: what tar_header.hpp and tar_path.hpp refuse; one name twice, but for directories; a name below a file; a hard link
/// to anything but a file that came before; headers for an entry twice or of two kinds; an archive that ends early, or goes on
/// after its end mark. What was handed out before an archive is refused must not be used: next() answering false makes it whole.
class TarReader {
 public:
  explicit TarReader(std::unique_ptr<ByteSource> source, const TarLimits& limits = {});
  /// Error conflict when the file is no longer the one that resolve() saw.
  static TarReader open(const Root& root, const TarLimits& limits = {});

  /// The next entry; what is left of the last one's data is passed over. False: the end, and all was well.
  bool next(TarEntry& out);
  /// The next bytes of the current file, valid until the next call. False: that was all.
  bool data(std::string_view& out);

  uint64_t skipped() const noexcept { return skipped_; }

 private:
  struct Extension;

  bool next_unchecked(TarEntry& out);
  bool read_entry(TarHeader& out);
  void read_extension(const TarHeader& header, Extension& extension);
  std::string read_body(uint64_t size);
  void read_end();
  bool accept(TarHeader& header, TarEntry& out);
  void note(TarEntry& entry);
  void note_parents(std::string_view path);

  bool fill();
  std::string_view take(uint64_t size);
  std::string_view take_block();
  void pass_data();

  std::unique_ptr<ByteSource> source_;
  const TarLimits limits_;
  std::string_view waiting_;  // decompressed and not yet taken
  std::array<char, kTarBlock> block_{};
  uint64_t produced_ = 0;     // bytes that came from the source
  uint64_t taken_ = 0;        // of those, used
  uint64_t data_left_ = 0, padding_left_ = 0;
  uint64_t entries_ = 0, skipped_ = 0, path_bytes_ = 0;
  bool ended_ = false;
  // By hash: a million names would take much memory. Two names with one hash only get a good archive refused, once in ten million
  // archives of that size; a tree, because a hash table could be filled to be slow.
  std::map<uint64_t, TarEntry::Type> seen_;
};

}  // namespace svm::images
