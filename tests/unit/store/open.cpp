// Opening: modes, damage, foreign files, reading only.
#include <sqlite3.h>
#include <sys/mount.h>

#include "store/sqlite/open.hpp"
#include "support.hpp"

using namespace svm;
using namespace svm::store;
using namespace svm::store::test;

namespace {

/// A closed database with some rows: enough for several pages of tables and indices.
std::string make_database(const Directory& directory, int rows = 200) {
  const auto store = open_sqlite(directory.path(), false);
  for (int i = 0; i < rows; ++i) {
    auto record = sandbox("sb-" + std::to_string(i));
    record.reason = std::string(200, 'x');
    store->insert(record, kRoom);
  }
  return directory / "stacyvm.db";
}

void run_sql(const std::string& path, const char* sql) {
  sqlite3* db = nullptr;
  REQUIRE(sqlite3_open(path.c_str(), &db) == SQLITE_OK);
  REQUIRE(sqlite3_exec(db, sql, nullptr, nullptr, nullptr) == SQLITE_OK);
  sqlite3_close(db);
}

}  // namespace

TEST_CASE("files are private whatever the umask, which stays as it is") {
  const Directory base;
  const std::string path = base / "made/here";
  for (const mode_t mask : {0U, 0777U}) {
    const mode_t before = umask(mask);
    auto store = open_sqlite(path, false);
    auto record = sandbox("sb-" + std::to_string(mask));
    store->insert(record, kRoom);
    CHECK(store->get(record.id));
    CHECK(mode_of(path) == 0700);
    for (const char* name : {"/stacyvm.db", "/stacyvm.db-wal", "/stacyvm.db-shm"}) CHECK_MESSAGE(mode_of(path + name) == 0600, name);
    CHECK(umask(before) == mask);
    store.reset();
    REQUIRE(remove((path + "/stacyvm.db").c_str()) == 0);
    CHECK_MESSAGE(access((path + "/stacyvm.db-wal").c_str(), F_OK) != 0, "the last close leaves no log");
  }
}

TEST_CASE("a database whose mode was widened is tightened") {
  const Directory directory;
  const std::string file = make_database(directory, 1);
  REQUIRE(chmod(file.c_str(), 0644) == 0);
  open_sqlite(directory.path(), false);
  CHECK(mode_of(file) == 0600);
}

TEST_CASE("a path with every kind of byte is a path and no URI") {
  const Directory base;
  for (const char* name : {"a b", "q?mode=memory", "h#ash", "p%41", "u\xc3\xbc\xff", "new\nline"}) {
    const std::string path = base / name;
    {
      const auto store = open_sqlite(path, false);
      auto record = sandbox("sb-a");
      store->insert(record, kRoom);
      CHECK(store->get("sb-a"));
    }
    CHECK(read_file(path + "/stacyvm.db").size() > 0);
    CHECK(open_sqlite(path, true)->get("sb-a"));
  }
}

TEST_CASE("a relative directory works") {
  const Directory base;
  char before[4096];
  REQUIRE(getcwd(before, sizeof before) != nullptr);
  REQUIRE(chdir(base.path().c_str()) == 0);
  CHECK(code_of([] { open_sqlite("state", false); }) == Code::ok);
  REQUIRE(chdir(before) == 0);
  CHECK(mode_of(base / "state/stacyvm.db") == 0600);
}

TEST_CASE("connections are hardened") {
  const Directory directory;
  auto opened = open_database(directory.path(), false, schema_steps());
  const auto reader = open_reader(opened.reader_name, opened.reader_flags);
  for (Connection* connection : {opened.connection.get(), reader.get()}) {
    CHECK(connection->pragma_int("foreign_keys") == 1);
    CHECK(connection->pragma_int("trusted_schema") == 0);
    CHECK(connection->pragma_int("cell_size_check") == 1);
    CHECK(connection->pragma_int("mmap_size") == 0);
    CHECK(connection->pragma_int("busy_timeout") == 5000);
    CHECK(connection->pragma_int("temp_store") == 2);
    CHECK(connection->pragma_text("journal_mode") == "wal");
    int defensive = 0;
    CHECK(sqlite3_db_config(connection->get(), SQLITE_DBCONFIG_DEFENSIVE, -1, &defensive) == SQLITE_OK);
    CHECK(defensive == 1);
  }
  CHECK(opened.connection->pragma_int("synchronous") == 1);
  CHECK(opened.connection->pragma_int("wal_autocheckpoint") == 1000);
  CHECK(reader->pragma_int("wal_autocheckpoint") == 0);
  CHECK(code_of([&] { reader->exec("DELETE FROM sandboxes"); }) == Code::io);
}

TEST_CASE("garbage and truncated files are refused and left as they are") {
  const Directory directory;
  const std::string file = make_database(directory);
  const std::string whole = read_file(file);
  REQUIRE(whole.size() > 8 * 4096);
  std::string changed;
  SUBCASE("empty") {}
  SUBCASE("text") { changed = "this is not a database\n"; }
  SUBCASE("random bytes") {
    changed.resize(8192);
    random_bytes(changed.data(), changed.size());
  }
  SUBCASE("header only") { changed = whole.substr(0, 100); }
  SUBCASE("half a page") { changed = whole.substr(0, 2048); }
  SUBCASE("one page") { changed = whole.substr(0, 4096); }
  SUBCASE("without the last page") { changed = whole.substr(0, whole.size() - 4096); }
  SUBCASE("without the last byte") { changed = whole.substr(0, whole.size() - 1); }
  SUBCASE("first byte flipped") {
    changed = whole;
    changed[0] = 'X';
  }
  SUBCASE("a zeroed page of a table") {
    changed = whole;
    changed.replace(4 * 4096, 4096, 4096, '\0');
  }
  write_file(file, changed);
  for (const bool read_only : {false, true}) {
    CHECK(code_of([&] { open_sqlite(directory.path(), read_only); }) == Code::io);
    CHECK(read_file(file) == changed);
  }
  write_file(file, whole);
  CHECK(open_sqlite(directory.path(), false)->live_count() == 200);
}

// Not every flip is damage that a check can see (a letter of a text is a letter); what must not happen is a crash, a hang or an
// exception of another type.
TEST_CASE("a flipped byte anywhere is refused or harmless") {
  const Directory directory;
  const std::string file = make_database(directory, 60);
  const std::string whole = read_file(file);
  uint32_t random = 1, refused = 0;
  for (int i = 0; i < 300; ++i) {
    random = random * 1'664'525 + 1'013'904'223;
    std::string changed = whole;
    const size_t at = i < 100 ? static_cast<size_t>(i) : random % whole.size();
    changed[at] = static_cast<char>(changed[at] ^ (1 << (random >> 29)));
    write_file(file, changed);
    const Code code = code_of([&] {
      const auto store = open_sqlite(directory.path(), false);
      for (const auto& row : store->list(1000, "")) store->get(row.id);
    });
    const bool expected = code == Code::ok || code == Code::io || code == Code::conflict;
    CHECK_MESSAGE(expected, "byte ", at);
    if (code != Code::ok) ++refused;
    for (const char* name : {"stacyvm.db-wal", "stacyvm.db-shm"}) remove((directory / name).c_str());
  }
  CHECK(refused > 30);
}

TEST_CASE("a stale log without its database is refused") {
  const Directory directory;
  write_file(directory / "stacyvm.db-wal", "frames");
  CHECK(code_of([&] { open_sqlite(directory.path(), false); }) == Code::io);
  CHECK(read_file(directory / "stacyvm.db-wal") == "frames");
  CHECK(access((directory / "stacyvm.db").c_str(), F_OK) != 0);
}

TEST_CASE("the remains of a first open that was cut short are replaced") {
  const Directory directory;
  write_file(directory / "stacyvm.db.new", "half a database");
  write_file(directory / "stacyvm.db.new-journal", "and its journal");
  CHECK(open_sqlite(directory.path(), false)->live_count() == 0);
  CHECK(access((directory / "stacyvm.db.new").c_str(), F_OK) != 0);
  CHECK(access((directory / "stacyvm.db.new-journal").c_str(), F_OK) != 0);
}

TEST_CASE("a file that is not ours is refused") {
  const Directory directory;
  const std::string file = directory / "stacyvm.db";
  SUBCASE("another program's database") {
    run_sql(file, "CREATE TABLE t (x); INSERT INTO t VALUES (1); PRAGMA user_version=1");
    const std::string before = read_file(file);
    CHECK(code_of([&] { open_sqlite(directory.path(), false); }) == Code::io);
    CHECK(read_file(file) == before);
  }
  SUBCASE("symlink") {
    const Directory elsewhere;
    const std::string target = make_database(elsewhere, 1);
    REQUIRE(symlink(target.c_str(), file.c_str()) == 0);
    CHECK(code_of([&] { open_sqlite(directory.path(), false); }) == Code::io);
  }
  SUBCASE("directory") {
    REQUIRE(mkdir(file.c_str(), 0700) == 0);
    CHECK(code_of([&] { open_sqlite(directory.path(), false); }) == Code::io);
  }
  SUBCASE("fifo") {
    REQUIRE(mkfifo(file.c_str(), 0600) == 0);
    CHECK(code_of([&] { open_sqlite(directory.path(), false); }) == Code::io);
  }
}

TEST_CASE("an index that disagrees with its table is found") {
  const Directory directory;
  const std::string file = make_database(directory, 20);
  // An entry of the live index is taken out behind SQLite's back: the same schema text, but another condition when it is filled.
  run_sql(file,
          "PRAGMA writable_schema=ON;"
          "UPDATE sqlite_schema SET sql=replace(sql, '''creating'', ''running''', '''running'', ''running''') WHERE name='sandboxes_live';");
  run_sql(file, "REINDEX sandboxes_live");
  run_sql(file,
          "PRAGMA writable_schema=ON;"
          "UPDATE sqlite_schema SET sql=replace(sql, '''running'', ''running''', '''creating'', ''running''') WHERE name='sandboxes_live';");
  CHECK(code_of([&] { open_sqlite(directory.path(), false); }) == Code::io);
}

TEST_CASE("a read-only store reads and does not write") {
  const Directory directory;
  CHECK(code_of([&] { open_sqlite(directory.path(), true); }) == Code::not_found);
  CHECK(code_of([&] { open_sqlite(directory / "missing", true); }) == Code::not_found);
  CHECK(access((directory / "missing").c_str(), F_OK) != 0);
  make_database(directory, 3);
  const auto store = open_sqlite(directory.path(), true);
  CHECK(is_random_id("", store->instance_id()));
  CHECK(store->live_count() == 3);
  CHECK(store->list(10, "").size() == 3);
  auto record = sandbox("sb-new");
  CHECK(code_of([&] { store->insert(record, kRoom); }) == Code::unsupported);
  CHECK(code_of([&] { store->update(record, model::State::creating); }) == Code::unsupported);
  CHECK(code_of([&] { store->prune({}); }) == Code::unsupported);
  std::vector<model::AuditRow> rows{audit_row("a")};
  CHECK(code_of([&] { store->append_audit(rows, false); }) == Code::unsupported);
}

TEST_CASE("on a read-only file system the state can be read, and opening it for writing fails") {
  const Directory directory;
  if (mount("tmpfs", directory.path().c_str(), "tmpfs", 0, "size=4m,mode=0700") != 0) {
    skip("read-only file system", "this process may not mount: " + errno_text(errno));
    return;
  }
  make_database(directory, 3);
  REQUIRE(mount(nullptr, directory.path().c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr) == 0);
  {
    const auto store = open_sqlite(directory.path(), true);
    CHECK(store->live_count() == 3);
    CHECK(store->get("sb-1"));
    CHECK(code_of([&] { open_sqlite(directory.path(), false); }) == Code::io);
    CHECK(code_of([&] { DirectoryLock::take(directory.path()); }) == Code::io);
  }
  REQUIRE(umount(directory.path().c_str()) == 0);
}
