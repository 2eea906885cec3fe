// Audit rows in the store: numbered without a gap, never changed.
#include <sqlite3.h>

#include "support.hpp"

using namespace svm;
using namespace svm::store;
using namespace svm::store::test;
using model::AuditRow;

TEST_CASE("audit rows are numbered in order and read back as written") {
  const Directory directory;
  {
    const auto store = open_sqlite(directory.path(), false);
    CHECK(store->last_audit_seq() == 0);
    CHECK(store->audit(0, 10).empty());
    AuditRow row;
    row.seq = 99;  // the store decides
    row.wall_ms = INT64_MIN;
    row.actor = "key-1";
    row.tenant = "t";
    row.source = "127.0.0.1";
    row.request_id = "r";
    row.action = "file.write";
    row.object = "sb-a:/tmp/\xff\n";
    row.phase = "outcome";
    row.intent_seq = 7;
    row.outcome = "IO";
    row.detail = std::string("nul\0 and more", 13);
    std::vector<AuditRow> rows{row, audit_row("second")};
    store->append_audit(rows, false);
    CHECK(rows[0].seq == 1);
    CHECK(rows[1].seq == 2);
    std::vector<AuditRow> none;
    store->append_audit(none, true);
    const auto read = store->audit(0, 10);
    REQUIRE(read.size() == 2);
    CHECK(read[0].seq == 1);
    CHECK(read[0].wall_ms == row.wall_ms);
    CHECK(read[0].actor == row.actor);
    CHECK(read[0].tenant == row.tenant);
    CHECK(read[0].source == row.source);
    CHECK(read[0].request_id == row.request_id);
    CHECK(read[0].action == row.action);
    CHECK(read[0].object == row.object);
    CHECK(read[0].phase == row.phase);
    CHECK(read[0].intent_seq == row.intent_seq);
    CHECK(read[0].outcome == row.outcome);
    CHECK(read[0].detail == row.detail);
    CHECK(read[1].object == "second");
  }
  const auto store = open_sqlite(directory.path(), false);
  CHECK(store->last_audit_seq() == 2);
  std::vector<AuditRow> rows{audit_row("third")};
  store->append_audit(rows, true);
  CHECK(rows[0].seq == 3);
  CHECK(store->audit(1, 1).at(0).seq == 2);
  CHECK(store->audit(2, 10).size() == 1);
  CHECK(store->audit(3, 10).empty());
  CHECK(store->audit(0, 0).empty());
}

TEST_CASE("audit rows can be neither changed nor deleted") {
  const Directory directory;
  {
    const auto store = open_sqlite(directory.path(), false);
    std::vector<AuditRow> rows{audit_row("a")};
    store->append_audit(rows, true);
  }
  sqlite3* db = nullptr;
  REQUIRE(sqlite3_open((directory / "stacyvm.db").c_str(), &db) == SQLITE_OK);
  CHECK(sqlite3_exec(db, "UPDATE audit SET object='b'", nullptr, nullptr, nullptr) == SQLITE_CONSTRAINT);
  CHECK(sqlite3_exec(db, "DELETE FROM audit", nullptr, nullptr, nullptr) == SQLITE_CONSTRAINT);
  sqlite3_close(db);
  CHECK(open_sqlite(directory.path(), false)->audit(0, 10).at(0).object == "a");
}

TEST_CASE("in memory the last audit rows are kept, and their numbers go on") {
  const auto store = open_sqlite_memory();
  constexpr int64_t kRows = kMemoryAuditRows + kMemoryAuditRows / 10;
  std::vector<AuditRow> rows(100, audit_row("a"));
  for (int64_t written = 0; written < kRows - 100; written += 100) store->append_audit(rows, false);
  CHECK(store->audit(0, 1).at(0).seq == 1);  // a tenth more than the bound is the most
  for (int i = 0; i < 30; ++i) {
    store->append_audit(rows, false);
    const auto kept = store->audit(0, 100'000);
    CHECK(kept.size() >= static_cast<size_t>(kMemoryAuditRows));
    CHECK(kept.size() <= static_cast<size_t>(kRows));
    CHECK(kept.back().seq == rows.back().seq);
    CHECK(kept.back().seq - kept.front().seq + 1 == static_cast<int64_t>(kept.size()));
  }
  CHECK(store->audit(0, 1).at(0).seq > 1);
  CHECK(store->last_audit_seq() == rows.back().seq);
}
