// The headers of a tar archive: POSIX ustar, with a pax header before an entry that ustar cannot say. Pure code: no I/O.
//
// What tar_header.hpp refuses in others' archives is not written: every fact is said once. A name that is not ASCII goes into a pax
// record, as it is, under hdrcharset=BINARY: readers give back the bytes that were written.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace svm::images {

struct TarItem {
  enum class Type : uint8_t { file, directory, symlink, hardlink };
  Type type{};
  std::string path;    // relative, normalised
  std::string target;  // symlink: its text; hardlink: the path of a file that came before
  uint32_t mode = 0;   // within 07777; setuid and setgid are not written
  uint64_t size = 0;   // of a file
  int64_t mtime_ns = 0;
  uint32_t uid = 0, gid = 0;
};

/// Appends all that comes before the entry's content.
void append_tar_header(std::string& out, const TarItem& item);

/// NULs that follow `size` bytes of content.
size_t tar_padding(uint64_t size) noexcept;

/// Appends the mark of the end.
void append_tar_end(std::string& out);

}  // namespace svm::images
