#include "store/sqlite/schema.hpp"

#include <string>

#include "core/error.hpp"
#include "core/fail_point.hpp"

namespace svm::store {

namespace {
std::string versions(int64_t found, size_t known) {
  return "its schema is version " + std::to_string(found) + ", this build knows " + std::to_string(known);
}
}  // namespace

void migrate(Connection& connection, std::span<const SchemaStep> steps) {
  const int64_t found = connection.pragma_int("user_version");
  if (found < 0 || static_cast<size_t>(found) > steps.size()) {
    throw Error(Code::conflict, "store: the database was written by a newer version: " + versions(found, steps.size()));
  }
  for (size_t i = static_cast<size_t>(found); i < steps.size(); ++i) {
    try {
      Transaction transaction(connection);
      SVM_FAIL_POINT_THROW(Code::io, "store.migrate");
      connection.exec(steps[i].sql);
      connection.exec(("PRAGMA user_version=" + std::to_string(i + 1)).c_str());
      connection.exec(("PRAGMA application_id=" + std::to_string(kApplicationId)).c_str());
      transaction.commit();
    } catch (Error& error) {
      error.prefix("store: schema step " + std::string(steps[i].name));
      throw;
    }
  }
}

void check_schema(Connection& connection, std::span<const SchemaStep> steps, bool allow_older) {
  if (connection.pragma_int("application_id") != kApplicationId) {
    throw Error(Code::io, "store: the file is a database of another program");
  }
  const int64_t found = connection.pragma_int("user_version");
  if (found < 1) throw Error(Code::io, "store: the database has no schema");
  if (static_cast<size_t>(found) > steps.size()) {
    throw Error(Code::conflict, "store: the database was written by a newer version: " + versions(found, steps.size()));
  }
  if (!allow_older && static_cast<size_t>(found) < steps.size()) {
    throw Error(Code::conflict, "store: the database must be upgraded, open it for writing once: " + versions(found, steps.size()));
  }
}

}  // namespace svm::store
