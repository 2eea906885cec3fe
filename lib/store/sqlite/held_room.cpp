#include "store/sqlite/held_room.hpp"

#include <fcntl.h>

#include <cerrno>

#include "core/fail_point.hpp"

namespace svm::store {

namespace {

constexpr const char* kRows = "SELECT coalesce(max(id), 0) FROM held_room";
constexpr const char* kAdd = "INSERT INTO held_room (id, room) VALUES (?, zeroblob(?))";
constexpr const char* kRemove = "DELETE FROM held_room WHERE id > ?";
constexpr const char* kPages = "PRAGMA page_count";
// Rows are given back only when so many are too many, or one sandbox more and less would write one each time.
constexpr int64_t kHeldRowsSlack = 8;

int64_t integer(Connection& connection, const char* sql) {
  const Use statement = connection.prepared(sql);
  statement->step();
  return statement->integer();
}

int64_t file_size(sqlite3* db) {
  sqlite3_file* file = nullptr;
  sqlite3_int64 size = 0;
  int result = sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &file);
  if (result == SQLITE_OK) result = file->pMethods->xFileSize(file, &size);
  if (result != SQLITE_OK) throw sqlite_error(db, result, "the database's size");
  return size;
}

Error no_room() { return Error(Code::limit, "store: there is no room on the disk").with("sqlite", SQLITE_FULL); }

}  // namespace

int64_t HeldRoom::rows() { return integer(connection_, kRows); }

void HeldRoom::hold(uint32_t live) {
  const int64_t wanted = kHeldRowsAlways + live / kSandboxesPerHeldRow;
  const int64_t held = rows();
  for (int64_t row = held; row < wanted; ++row) {
    SVM_FAIL_POINT_THROW(Code::io, "store.hold_room");
    const Use add = connection_.prepared(kAdd);
    add->bind(row + 1).bind(kHeldRowBytes);
    add->step();
  }
  if (held > wanted + kHeldRowsSlack) release(held - wanted);
  hold_log();
  place_pages();
}

void HeldRoom::release(int64_t count) {
  const Use remove = connection_.prepared(kRemove);
  remove->bind(rows() - count);
  remove->step();
}

// Blocks beyond the log's end: its size stays what SQLite makes it.
void HeldRoom::hold_log() {
  if (log_held_) return;
  SVM_FAIL_POINT_THROW(Code::io, "store.hold_log");
  int result;
  do result = ::fallocate(log_, FALLOC_FL_KEEP_SIZE, 0, kHeldLogBytes);
  while (result != 0 && errno == EINTR);
  if (result != 0 && errno != EOPNOTSUPP && errno != ENOSYS) {
    if (code_from_errno(errno) == Code::limit) throw no_room();
    throw errno_error(Code::io, errno, "store: reserve the write-ahead log's room");
  }
  log_held_ = true;  // where the file system cannot, the log has the room that the sandboxes' insertion took
}

void HeldRoom::place_pages() {
  sqlite3* const db = connection_.get();
  sqlite3_int64 needed = integer(connection_, kPages) * page_bytes_;
  if (file_size(db) >= needed) return;
  SVM_FAIL_POINT_THROW(Code::io, "store.place_pages");
  // The chunk is what SQLite rounds the file's size to; without one it ignores the hint.
  int chunk = static_cast<int>(page_bytes_);
  int result = sqlite3_file_control(db, "main", SQLITE_FCNTL_CHUNK_SIZE, &chunk);
  if (result != SQLITE_OK) throw sqlite_error(db, result, "the database's chunk size");
  result = sqlite3_file_control(db, "main", SQLITE_FCNTL_SIZE_HINT, &needed);
  // SQLite does not say why; that the file cannot grow is all there is to know.
  if (result == SQLITE_IOERR_WRITE) throw no_room();
  if (result != SQLITE_OK) throw sqlite_error(db, result, "the database's size");
}

}  // namespace svm::store
