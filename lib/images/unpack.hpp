// Unpacks an archive through a TreeWriter.
#pragma once
#include <cstdint>

#include "images/tar_reader.hpp"
#include "images/tree_writer.hpp"

namespace svm::images {

struct Unpacked {
  uint64_t entries = 0;  // written
  uint64_t skipped = 0;
  uint64_t bytes = 0;    // of files
};

/// Writes every entry and finishes the writer. Throws what reader and writer throw; what was written until then is to be thrown
/// away. Everything belongs to whom the writer writes as.
Unpacked unpack(TarReader& reader, TreeWriter& writer);

}  // namespace svm::images
