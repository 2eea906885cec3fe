#include "store/sqlite/connection.hpp"

#include <utility>

#include "core/fail_point.hpp"

namespace svm::store {

namespace {
// Nobody else should hold a lock for long: the directory's owner is alone. A backup tool may, for a moment.
constexpr int kBusyTimeoutMs = 5000;

// Read on every connection. mmap is off: a truncated or failing file would be SIGBUS in the application instead of an error.
// temp_store keeps sorting out of the host's /tmp. secure_delete, which some builds have on, would write every page that is freed.
constexpr const char* kHarden =
    "PRAGMA foreign_keys=ON;"
    "PRAGMA trusted_schema=OFF;"
    "PRAGMA cell_size_check=ON;"
    "PRAGMA mmap_size=0;"
    "PRAGMA temp_store=MEMORY;"
    "PRAGMA secure_delete=FAST;";
}  // namespace

Error sqlite_error(sqlite3* db, int result, std::string_view what) {
  const int primary = result & 0xff;
  const int system = db != nullptr ? sqlite3_system_errno(db) : 0;
  std::string text = "store: " + std::string(what) + ": " + sqlite3_errstr(primary);
  Code code = Code::io;
  switch (primary) {
    case SQLITE_FULL: code = Code::limit; break;
    case SQLITE_NOMEM: code = Code::limit; break;
    case SQLITE_BUSY:
    case SQLITE_LOCKED: code = Code::timeout; break;
    case SQLITE_CONSTRAINT: code = Code::conflict; break;
    default: break;
  }
  if ((primary == SQLITE_IOERR || primary == SQLITE_CANTOPEN) && system != 0) {
    if (code_from_errno(system) == Code::limit) code = Code::limit;
    return Error(code, text + ": " + errno_text(system)).with("errno", system).with("sqlite", result);
  }
  return Error(code, std::move(text)).with("sqlite", result);
}

Statement::Statement(sqlite3* db, const char* sql) : db_(db) {
  check(sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement_, nullptr));
}

Statement::Statement(Statement&& other) noexcept
    : db_(other.db_), statement_(std::exchange(other.statement_, nullptr)), next_bind_(other.next_bind_),
      next_column_(other.next_column_) {}

Statement::~Statement() { sqlite3_finalize(statement_); }

void Statement::check(int result) const {
  if (result != SQLITE_OK) throw sqlite_error(db_, result, "statement");
}

Statement& Statement::bind(int64_t value) {
  check(sqlite3_bind_int64(statement_, next_bind_++, value));
  return *this;
}

// An empty view may hold a null pointer, which SQLite would bind as NULL.
Statement& Statement::bind_text(std::string_view value) {
  check(sqlite3_bind_text64(statement_, next_bind_++, value.empty() ? "" : value.data(), value.size(), SQLITE_STATIC, SQLITE_UTF8));
  return *this;
}

Statement& Statement::bind_blob(std::string_view value) {
  check(sqlite3_bind_blob64(statement_, next_bind_++, value.empty() ? "" : value.data(), value.size(), SQLITE_STATIC));
  return *this;
}

bool Statement::step() {
  next_column_ = 0;
  const int result = sqlite3_step(statement_);
  if (result == SQLITE_ROW) return true;
  if (result == SQLITE_DONE) return false;
  throw sqlite_error(db_, result, "statement");
}

int64_t Statement::integer() { return sqlite3_column_int64(statement_, next_column_++); }

std::string_view Statement::bytes() {
  const void* data = sqlite3_column_blob(statement_, next_column_);
  const int size = sqlite3_column_bytes(statement_, next_column_++);
  return data == nullptr ? std::string_view() : std::string_view(static_cast<const char*>(data), static_cast<size_t>(size));
}

void Statement::reset() noexcept {
  sqlite3_reset(statement_);  // repeats the error of the last step, which has been thrown already
  sqlite3_clear_bindings(statement_);
  next_bind_ = 1;
  next_column_ = 0;
}

Connection::Connection(const std::string& name, int flags) {
  if (sqlite3_threadsafe() == 0) {
    throw Error(Code::unsupported, "store: this SQLite was built without thread safety");
  }
  // NOMUTEX: the owner serialises, so SQLite's own lock around every call would be paid for nothing.
  const int result = sqlite3_open_v2(name.c_str(), &db_, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, nullptr);
  try {
    if (result != SQLITE_OK) throw sqlite_error(db_, result, "open");
    sqlite3_busy_timeout(db_, kBusyTimeoutMs);
    for (const auto& [option, on] : {std::pair{SQLITE_DBCONFIG_DEFENSIVE, 1}, {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},
                                     {SQLITE_DBCONFIG_DQS_DML, 0}, {SQLITE_DBCONFIG_DQS_DDL, 0},
                                     {SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1}}) {
      const int configured = sqlite3_db_config(db_, option, on, nullptr);
      if (configured != SQLITE_OK) throw sqlite_error(db_, configured, "configure");
    }
    exec(kHarden);
  } catch (...) {
    sqlite3_close_v2(db_);
    throw;
  }
}

Connection::~Connection() {
  cache_.clear();  // a connection with statements would not close
  sqlite3_close_v2(db_);
}

void Connection::trust() {
  const int result = sqlite3_db_config(db_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, nullptr);
  if (result != SQLITE_OK) throw sqlite_error(db_, result, "configure");
}

void Connection::exec(const char* sql) {
  const int result = sqlite3_exec(db_, sql, nullptr, nullptr, nullptr);
  if (result != SQLITE_OK) throw sqlite_error(db_, result, "statement");
}

int64_t Connection::pragma_int(const char* name) {
  Statement statement(db_, ("PRAGMA " + std::string(name)).c_str());
  return statement.step() ? statement.integer() : 0;
}

std::string Connection::pragma_text(const char* name) {
  Statement statement(db_, ("PRAGMA " + std::string(name)).c_str());
  return statement.step() ? std::string(statement.bytes()) : std::string();
}

Use Connection::prepared(const char* sql) {
  for (Cached& cached : cache_) {
    if (cached.sql == sql) return Use(cached.statement);
  }
  // Two statements are in use at once at most within one function; growing must not move a statement that is in use.
  if (cache_.capacity() == 0) cache_.reserve(64);
  if (cache_.size() == cache_.capacity()) throw Error(Code::internal, "store: too many prepared statements");
  return Use(cache_.emplace_back(Cached{sql, Statement(db_, sql)}).statement);
}

Transaction::Transaction(Connection& connection) : connection_(connection) {
  static constexpr const char* kBegin = "BEGIN IMMEDIATE";
  connection_.prepared(kBegin)->step();
}

// After some failures (a full disk, an I/O error) SQLite has rolled back already.
Transaction::~Transaction() {
  if (!open_ || sqlite3_get_autocommit(connection_.get()) != 0) return;
  sqlite3_exec(connection_.get(), "ROLLBACK", nullptr, nullptr, nullptr);
}

void Transaction::commit() {
  static constexpr const char* kCommit = "COMMIT";
  SVM_FAIL_POINT_THROW(Code::io, "store.commit");
  connection_.prepared(kCommit)->step();
  open_ = false;
  (void)SVM_FAIL_POINT("store.committed");  // too late to fail
}

}  // namespace svm::store
