// Migration: in order, each whole or not at all, never backwards.
#include <sqlite3.h>

#include "store/sqlite/open.hpp"
#include "support.hpp"

using namespace svm;
using namespace svm::store;
using namespace svm::store::test;

namespace {
std::vector<SchemaStep> steps_and(std::initializer_list<SchemaStep> more) {
  std::vector<SchemaStep> steps(schema_steps().begin(), schema_steps().end());
  steps.insert(steps.end(), more);
  return steps;
}
int64_t count(Connection& connection, const char* sql) {
  Statement statement(connection.get(), sql);
  return statement.step() ? statement.integer() : -1;
}
}  // namespace

TEST_CASE("the embedded steps are numbered from one without a gap") {
  size_t number = 0;
  for (const SchemaStep& step : schema_steps()) {
    char prefix[8];
    std::snprintf(prefix, sizeof prefix, "%04zu_", ++number);
    CHECK(std::string(step.name).starts_with(prefix));
    CHECK(std::string(step.sql).size() > 10);
  }
  CHECK(number >= 1);
}

TEST_CASE("an older database is brought up to date, rows kept") {
  const Directory directory;
  {
    const auto store = open_sqlite(directory.path(), false);
    auto record = sandbox("sb-a");
    store->insert(record, kRoom);
  }
  const auto steps = steps_and({{"next", "ALTER TABLE sandboxes ADD COLUMN extra TEXT NOT NULL DEFAULT 'e'"},
                                {"after", "UPDATE sandboxes SET extra = extra || 'f'"}});
  const auto version = static_cast<int64_t>(steps.size());
  CHECK(code_of([&] { open_database(directory.path(), true, steps); }) == Code::conflict);  // a reader cannot migrate
  {
    const auto opened = open_database(directory.path(), false, steps);
    CHECK(opened.connection->pragma_int("user_version") == version);
    CHECK(opened.connection->pragma_int("application_id") == kApplicationId);
    CHECK(count(*opened.connection, "SELECT count(*) FROM sandboxes WHERE extra = 'ef' AND id = 'sb-a'") == 1);
  }
  CHECK(open_database(directory.path(), false, steps).connection->pragma_int("user_version") == version);
  // Now it is newer than this build: refused in both ways, unchanged.
  const std::string before = read_file(directory / "stacyvm.db");
  for (const bool read_only : {false, true}) {
    CHECK(code_of([&] { open_sqlite(directory.path(), read_only); }) == Code::conflict);
    CHECK(read_file(directory / "stacyvm.db") == before);
  }
}

TEST_CASE("a step that fails is undone as a whole and named") {
  const Directory directory;
  open_sqlite(directory.path(), false);
  const auto steps = steps_and({{"good", "CREATE TABLE good (x)"},
                                {"0003_bad", "CREATE TABLE half (x); INSERT INTO half VALUES (1); SELECT * FROM missing;"}});
  std::string message;
  try {
    open_database(directory.path(), false, steps);
  } catch (const Error& error) {
    message = error.message();
  }
  CHECK(message.find("0003_bad") != std::string::npos);
  const auto opened = open_database(directory.path(), false, std::span(steps).first(steps.size() - 1));
  CHECK(opened.connection->pragma_int("user_version") == static_cast<int64_t>(steps.size()) - 1);
  CHECK(count(*opened.connection, "SELECT count(*) FROM sqlite_schema WHERE name='good'") == 1);
  CHECK(count(*opened.connection, "SELECT count(*) FROM sqlite_schema WHERE name='half'") == 0);
}

TEST_CASE("a first open whose schema fails leaves no file behind") {
  const Directory directory;
  const SchemaStep bad[] = {{"0001_bad", "CREATE TABLE a (x); nonsense"}};
  CHECK(code_of([&] { open_database(directory.path(), false, bad); }) == Code::io);
  CHECK(access((directory / "stacyvm.db").c_str(), F_OK) != 0);
  CHECK(access((directory / "stacyvm.db.new").c_str(), F_OK) != 0);
  CHECK(code_of([&] { open_sqlite(directory.path(), false); }) == Code::ok);
}

TEST_CASE("statements of a hot path use their index") {
  const Directory directory;
  const auto opened = open_database(directory.path(), false, schema_steps());
  const auto plan = [&](const std::string& sql) {
    Statement statement(opened.connection->get(), ("EXPLAIN QUERY PLAN " + sql).c_str());
    std::string text;
    while (statement.step()) {
      statement.integer();
      statement.integer();
      statement.integer();
      text += std::string(statement.bytes()) + "\n";
    }
    return text;
  };
  CHECK(plan("SELECT * FROM sandboxes WHERE id=?").find("sqlite_autoindex_sandboxes_1") != std::string::npos);
  const std::string prune = plan("SELECT seq FROM sandboxes WHERE state IN ('destroyed', 'error') AND destroyed_ms < ? "
                                 "ORDER BY destroyed_ms LIMIT ?");
  CHECK(prune.find("sandboxes_ended") != std::string::npos);
  CHECK(prune.find("TEMP B-TREE") == std::string::npos);
  const std::string list = plan("SELECT * FROM sandboxes INDEXED BY sandboxes_live WHERE state IN ('creating', 'running', 'destroying') "
                                "AND seq < ? ORDER BY seq DESC LIMIT ?");
  CHECK(list.find("SEARCH") != std::string::npos);
  CHECK(list.find("TEMP B-TREE") == std::string::npos);
}
