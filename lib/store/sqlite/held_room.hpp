// Room on the disk that is held back, so that on a full one sandboxes can still be recorded as ended.
//
// Three things may grow when a row is written, and each has its room before a sandbox is recorded at all. The database's pages: rows of
// zeros (table held_room) whose pages are free for others once they are deleted. The database's file: it is made as long as its
// pages need before the transaction that adds them is committed, not when the log is written back, so that writing back never fails
// for want of room. The write-ahead log: blocks that it has from the start, used again once it was written back.
//
// File systems that write everything to a new place (btrfs, ZFS) cannot promise any of it.
#pragma once
#include <cstdint>

#include "store/sqlite/connection.hpp"

namespace svm::store {

inline constexpr int64_t kHeldRowBytes = 16 * 1024;      // four pages beside the row's own
inline constexpr int64_t kHeldRowsAlways = 12;           // an update writes all of the row anew; the largest has some 35 pages
inline constexpr uint32_t kSandboxesPerHeldRow = 8;      // what ending them may add: half a page each
inline constexpr int64_t kHeldLogBytes = 256 * 1024;     // the log of one such update

/// Of the writing connection of a file; used by its one thread, within its transactions.
class HeldRoom {
 public:
  /// `log`: a descriptor of the write-ahead log, open for writing. Both are borrowed.
  HeldRoom(Connection& connection, int log) : connection_(connection), log_(log), page_bytes_(connection.pragma_int("page_size")) {}

  /// Before the commit of a transaction after which `live` sandboxes may still end: holds what that takes, and gives the transaction's
  /// pages their place in the file. Error limit when the disk has no room for it.
  void hold(uint32_t live);
  /// Before the commit of one that records an end: only the latter.
  void place_pages();
  /// In such a transaction, for want of room: frees the pages of up to `rows` rows, for this transaction and those like it. hold()
  /// takes them back.
  void release(int64_t rows);

 private:
  int64_t rows();
  void hold_log();
  Connection& connection_;
  const int log_;
  const int64_t page_bytes_;
  bool log_held_ = false;
};

}  // namespace svm::store
