// The blocks of a tar archive: ustar, the old format before it, GNU's long names, and pax records. Pure code: no I/O.
//
// Two readers of one archive can see two different trees, where the archive says a thing twice or not quite. What readers are
// known to disagree about is refused here, so that what was scanned or signed elsewhere is what gets unpacked.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace svm::images {

inline constexpr size_t kTarBlock = 512;

enum class TarKind : uint8_t {
  file,
  directory,
  symlink,
  hardlink,
  special,      // a device or a FIFO
  pax,          // records for the next entry
  pax_global,   // records for all that follow
  gnu_name,     // the name of the next entry
  gnu_target,   // the link target of the next entry
};

struct TarHeader {
  TarKind kind{};
  std::string name, target;  // bytes
  uint64_t size = 0;         // bytes of data that follow, before padding to blocks
  uint32_t mode = 0;         // within 07777
};

/// Whether a block is one half of the end mark.
bool is_zero_block(std::string_view block) noexcept;

/// Reads one block. Throws Error invalid: the checksum is wrong, a number is not one or negative, the type is unknown, or data follows
/// what has none.
TarHeader decode_tar_header(std::string_view block);

/// What pax records say about names and sizes; times, owners and comments are read over.
struct PaxRecords {
  std::optional<std::string> path, target;
  std::optional<uint64_t> size;
};

/// Throws Error invalid: malformed records, one of the above twice, empty or with a NUL, or a sparse file.
PaxRecords decode_pax(std::string_view records);

/// The body of a GNU long name: bytes up to the NULs at its end. Throws Error invalid for one inside.
std::string decode_gnu_name(std::string_view body);

/// The size of an entry whose header says `header` and whose pax records say `records`. A header's field ends at 8 GiB; writers put
/// zero or the largest number where that is not enough. Throws Error invalid for any other disagreement.
uint64_t resolve_tar_size(uint64_t header, uint64_t records);

}  // namespace svm::images
