// One SQLite connection with its prepared statements. Not thread-safe: the owner serialises.
//
// Process-global SQLite state (sqlite3_config, sqlite3_shutdown, sqlite3_soft_heap_limit ...) is never touched: the application may
// use the same library. A connection must not be used or closed in a forked child: the POSIX locks are not inherited, and closing
// in the child would delete a write-ahead log that the parent is using.
#pragma once
#include <sqlite3.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.hpp"

namespace svm::store {

/// The Error for an SQLite result: a full disk is limit, a lock that did not come free is timeout, everything else is io.
/// Holds no path and no value of a row.
Error sqlite_error(sqlite3* db, int result, std::string_view what);

/// A prepared statement; bind in order, step, read columns in order, and reset (Use does that).
class Statement {
 public:
  Statement(sqlite3* db, const char* sql);
  Statement(Statement&& other) noexcept;
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;
  ~Statement();

  Statement& bind(int64_t value);
  /// Borrowed until reset.
  Statement& bind_text(std::string_view value);
  Statement& bind_blob(std::string_view value);
  /// True: a row is there. False: done. Throws on failure.
  bool step();
  int64_t integer();
  /// Borrowed until the next step or reset. Text and blobs alike.
  std::string_view bytes();
  void reset() noexcept;

 private:
  void check(int result) const;
  sqlite3* db_;
  sqlite3_stmt* statement_ = nullptr;
  int next_bind_ = 1, next_column_ = 0;
};

/// A statement in use: reset at the end of the scope, so that no read transaction is left open by an early return or a throw.
class Use {
 public:
  explicit Use(Statement& statement) noexcept : statement_(statement) {}
  ~Use() { statement_.reset(); }
  Use(const Use&) = delete;
  Use& operator=(const Use&) = delete;
  Statement* operator->() const noexcept { return &statement_; }
  Statement& operator*() const noexcept { return statement_; }

 private:
  Statement& statement_;
};

class Connection {
 public:
  /// `name` and `flags` as for sqlite3_open_v2; hardens the connection, and leaves the file as it is. Until trust() the connection
  /// does not checkpoint when it is closed, so that refusing a damaged database does not change it.
  Connection(const std::string& name, int flags);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  sqlite3* get() const noexcept { return db_; }
  /// The database is sound: the last close may checkpoint and remove the log.
  void trust();
  void exec(const char* sql);
  int64_t pragma_int(const char* name);
  std::string pragma_text(const char* name);
  /// The cached statement for the text. `sql` must be a literal: its address is the key.
  Use prepared(const char* sql);

 private:
  sqlite3* db_ = nullptr;
  struct Cached { const char* sql; Statement statement; };
  std::vector<Cached> cache_;
};

/// BEGIN IMMEDIATE now; ROLLBACK at the end of the scope unless commit() came first.
class Transaction {
 public:
  explicit Transaction(Connection& connection);
  ~Transaction();
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  void commit();

 private:
  Connection& connection_;
  bool open_ = true;
};

}  // namespace svm::store
