// The schema's steps (schema/NNNN_name.sql, embedded at build time) and how they are applied.
#pragma once
#include <cstdint>
#include <span>

#include "store/sqlite/connection.hpp"

namespace svm::store {

struct SchemaStep {
  const char* name;  // "0001_initial"
  const char* sql;
};

/// The steps of this build, in order; step N leads to user_version N.
std::span<const SchemaStep> schema_steps() noexcept;

/// Marks the file as ours ("SVM1"); tools such as file(1) show it.
inline constexpr int32_t kApplicationId = 0x53564d31;

/// Applies the steps the database does not have yet, each in a transaction of its own. Error conflict, nothing changed, when the
/// database is newer than the steps. A step that fails is undone and its error names it.
void migrate(Connection& connection, std::span<const SchemaStep> steps);

/// Throws unless this is a database of ours with a known schema: Error io (not ours), Error conflict (newer). `allow_older` is false
/// for a reader that cannot migrate it: then an older schema is Error conflict too.
void check_schema(Connection& connection, std::span<const SchemaStep> steps, bool allow_older);

}  // namespace svm::store
