// Bytes of a file that may be compressed.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

#include "core/fd.hpp"

namespace svm::images {

class ByteSource {
 public:
  virtual ~ByteSource() = default;
  /// The next bytes, valid until the next call; empty at the end. Throws Error invalid where the compressed form is damaged, io where
  /// the file cannot be read.
  virtual std::string_view next() = 0;
  /// Bytes of the file that were used so far.
  virtual uint64_t consumed() const noexcept = 0;
};

/// Plain, gzip, zstd, xz or bzip2, told apart by their first bytes; one layer of it. Memory stays bounded whatever a stream's header
/// asks for (zstd: a window of 128 MiB). gzip's checksum is not compared: libarchive passes
/// over it.
std::unique_ptr<ByteSource> open_source(Fd file);
/// The same over what `pull` gives, piece by piece, each valid until the next call; empty: the end. Its exceptions come out of next().
std::unique_ptr<ByteSource> open_source(std::function<std::string_view()> pull);
/// The same over bytes that outlive the source.
std::unique_ptr<ByteSource> open_source(std::string_view bytes);

}  // namespace svm::images
