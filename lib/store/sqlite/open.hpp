// From a directory to sound connections: makes, checks and opens the database file.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "core/fd.hpp"
#include "store/sqlite/connection.hpp"
#include "store/sqlite/schema.hpp"

namespace svm::store {

/// Databases up to this size get the whole integrity_check at open; larger ones quick_check, which leaves out the comparison of
/// indices with their tables and is several times faster.
inline constexpr int64_t kFullCheckBytes = 4 * 1024 * 1024;

struct Opened {
  std::unique_ptr<Connection> connection;  // the writer, or the first reader of a read-only store
  std::string reader_name;                 // for further readers
  int reader_flags = 0;
  Fd log;                                  // the write-ahead log of the writer
};

/// See open_sqlite. `steps` is schema_steps() but in tests.
Opened open_database(const std::string& directory, bool read_only, std::span<const SchemaStep> steps);
std::unique_ptr<Connection> open_memory_database(std::span<const SchemaStep> steps);
/// A further connection that only reads and never checkpoints.
std::unique_ptr<Connection> open_reader(const std::string& name, int flags);

}  // namespace svm::store
