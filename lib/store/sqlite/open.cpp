#include "store/sqlite/open.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "core/fail_point.hpp"
#include "core/fd.hpp"
#include "core/id.hpp"
#include "store/directory.hpp"

namespace svm::store {

namespace {

constexpr const char* kName = "stacyvm.db";
constexpr const char* kNewName = "stacyvm.db.new";
constexpr const char* kNewJournal = "stacyvm.db.new-journal";
constexpr const char* kLog = "stacyvm.db-wal";
constexpr mode_t kFileMode = 0600;

/// The size of a file in the directory; -1 when there is none.
int64_t size_of(const Fd& directory, const char* name) {
  struct stat info {};
  if (fstatat(directory.get(), name, &info, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return -1;
    throw errno_error(Code::io, errno, "store: stat");
  }
  if (!S_ISREG(info.st_mode)) throw Error(Code::io, "store: " + std::string(name) + " is not a regular file");
  return info.st_size;
}

void remove_if_there(const Fd& directory, const char* name) {
  if (unlinkat(directory.get(), name, 0) != 0 && errno != ENOENT) throw errno_error(Code::io, errno, "store: unlink");
}

std::string uri(const std::string& directory, const char* name, bool immutable) {
  std::string out = "file:";
  const std::string path = directory + "/" + name;
  if (path[0] == '/') out += "//";  // an empty authority: a path that starts with // would be read as one
  for (const char c : path) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z') || c == '/' ||
                       c == '.' || c == '-' || c == '_';
    char escaped[4];
    if (!plain) std::snprintf(escaped, sizeof escaped, "%%%02X", static_cast<unsigned>(byte));
    out += plain ? std::string(1, c) : std::string(escaped);
  }
  return immutable ? out + "?immutable=1" : out;
}

// The database is made under another name and renamed when it is complete, so that a file called stacyvm.db is always whole: an
// empty or schema-less one is damage, not a first start that was cut short. Made before SQLite sees it, with the mode that SQLite
// copies to its log and shared-memory files whatever the umask.
void create_database(const std::string& path, const Fd& directory, std::span<const SchemaStep> steps) {
  if (size_of(directory, kLog) > 0) {
    throw Error(Code::io, "store: the database is missing but its write-ahead log is there");
  }
  remove_if_there(directory, kNewName);
  remove_if_there(directory, kNewJournal);
  SVM_FAIL_POINT_THROW(Code::io, "store.create");
  {
    const Fd file(openat(directory.get(), kNewName, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, kFileMode));
    if (!file) throw errno_error(Code::io, errno, "store: create");
    if (fchmod(file.get(), kFileMode) != 0) throw errno_error(Code::io, errno, "store: chmod");
  }
  try {
    Connection connection(uri(path, kNewName, false), SQLITE_OPEN_READWRITE | SQLITE_OPEN_URI | SQLITE_OPEN_NOFOLLOW);
    connection.exec("PRAGMA synchronous=FULL");
    migrate(connection, steps);
    Statement insert(connection.get(), "INSERT INTO instance (one, instance_id) VALUES (1, ?)");
    const std::string instance = random_id("");
    SVM_FAIL_POINT_THROW(Code::io, "store.insert_instance");
    insert.bind_text(instance).step();
  } catch (const Error&) {
    unlinkat(directory.get(), kNewJournal, 0);
    unlinkat(directory.get(), kNewName, 0);
    throw;
  }
  SVM_FAIL_POINT_THROW(Code::io, "store.rename");
  if (renameat2(directory.get(), kNewName, directory.get(), kName, RENAME_NOREPLACE) != 0) {
    throw errno_error(Code::io, errno, "store: rename");
  }
  if (fsync(directory.get()) != 0) throw errno_error(Code::io, errno, "store: sync");
}

struct Sizes {
  int64_t database, log;  // bytes; -1: no file
};

void check_integrity(Connection& connection, const Sizes& sizes) {
  // SQLite reads the missing rest of a last page as zeros. While there is a log the rest may be in it (a write back that was cut
  // short); without one it is lost.
  if (sizes.log <= 0 && sizes.database % connection.pragma_int("page_size") != 0) {
    throw Error(Code::io, "store: the database is damaged: the file ends within a page");
  }
  Statement check(connection.get(), sizes.database <= kFullCheckBytes ? "PRAGMA integrity_check(1)" : "PRAGMA quick_check(1)");
  if (!check.step()) throw Error(Code::io, "store: the integrity check gave no answer");
  const std::string answer(check.bytes());
  if (answer != "ok") throw Error(Code::io, "store: the database is damaged: " + answer.substr(0, answer.find('\n')));
}

// A database whose mode was widened by somebody: tightened again. By name, because opening and closing the file here would drop the
// POSIX locks of another connection of this process; the directory is ours, so the name is.
void tighten(const Fd& directory) {
  struct stat info {};
  if (fstatat(directory.get(), kName, &info, AT_SYMLINK_NOFOLLOW) != 0) throw errno_error(Code::io, errno, "store: stat");
  if ((info.st_mode & 077) != 0 && fchmodat(directory.get(), kName, kFileMode, 0) != 0) {
    throw errno_error(Code::io, errno, "store: chmod");
  }
}

void check(Connection& connection, const Sizes& sizes, std::span<const SchemaStep> steps, bool allow_older) {
  try {
    check_schema(connection, steps, allow_older);
    check_integrity(connection, sizes);
  } catch (Error& error) {
    // SQLite's own words for a file that it cannot read ("file is not a database") say enough, but not what to do.
    if (error.code() == Code::io) error.prefix("refusing the state, which was left as it is");
    throw;
  }
}

}  // namespace

std::unique_ptr<Connection> open_reader(const std::string& name, int flags) {
  auto connection = std::make_unique<Connection>(name, flags);
  connection->exec("PRAGMA wal_autocheckpoint=0; PRAGMA query_only=ON");
  return connection;
}

Opened open_database(const std::string& path, bool read_only, std::span<const SchemaStep> steps) {
  const Fd directory = open_state_directory(path, read_only ? Make::no : Make::yes);
  int64_t size = size_of(directory, kName);
  if (size < 0) {
    if (read_only) throw Error(Code::not_found, "store: there is no database");
    create_database(path, directory, steps);
    size = size_of(directory, kName);
  }
  if (size == 0) throw Error(Code::io, "store: the database is damaged: the file is empty");
  const Sizes sizes{size, size_of(directory, kLog)};

  Opened opened;
  opened.reader_flags = SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOFOLLOW;
  if (read_only) {
    // Reading a WAL database needs the shared-memory file beside it. Where none can be made, nobody else can be writing either, and
    // with an empty log the main file is the whole truth.
    const bool frozen = faccessat(directory.get(), ".", W_OK, AT_EACCESS) != 0 && sizes.log <= 0;
    opened.reader_name = uri(path, kName, frozen);
    opened.connection = open_reader(opened.reader_name, opened.reader_flags);
    check(*opened.connection, sizes, steps, false);
    return opened;
  }

  // Answered before SQLite falls back to reading only.
  if (faccessat(directory.get(), kName, R_OK | W_OK, AT_EACCESS) != 0 || faccessat(directory.get(), ".", W_OK, AT_EACCESS) != 0) {
    throw errno_error(Code::io, errno, "store: the database is not writable");
  }
  opened.reader_name = uri(path, kName, false);
  opened.connection = std::make_unique<Connection>(opened.reader_name,
                                                   SQLITE_OPEN_READWRITE | SQLITE_OPEN_URI | SQLITE_OPEN_NOFOLLOW);
  Connection& writer = *opened.connection;
  check(writer, sizes, steps, true);
  tighten(directory);
  // Lifecycle rows describe kernel objects (processes, cgroups, mounts) that a power failure ends anyway, so a commit need not be on
  // the disk before it is acknowledged: NORMAL survives SIGKILL, because the log's pages are with the kernel, and after a power
  // failure the database is consistent but may lack the last commits. Audit rows that must be durable sync the log afterwards.
  if (writer.pragma_text("journal_mode=WAL") != "wal") {
    throw Error(Code::io, "store: the file system does not support a write-ahead log");
  }
  writer.exec("PRAGMA synchronous=NORMAL; PRAGMA journal_size_limit=16777216");
  migrate(writer, steps);
  writer.trust();
  // SQLite's locks are on the other two files, so that closing this descriptor drops none. It stays the same file for as long as a
  // connection is open; its name must be as durable as its content.
  opened.log.reset(openat(directory.get(), kLog, O_RDWR | O_NOFOLLOW | O_CLOEXEC));
  SVM_FAIL_POINT_THROW(Code::io, "store.sync_directory");
  if (!opened.log) throw errno_error(Code::io, errno, "store: the write-ahead log");
  if (fsync(directory.get()) != 0) throw errno_error(Code::io, errno, "store: sync");
  return opened;
}

std::unique_ptr<Connection> open_memory_database(std::span<const SchemaStep> steps) {
  auto connection = std::make_unique<Connection>(":memory:", SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
  migrate(*connection, steps);
  connection->exec("DROP TRIGGER IF EXISTS audit_keeps_rows");  // see kMemoryAuditRows
  Statement insert(connection->get(), "INSERT INTO instance (one, instance_id) VALUES (1, ?)");
  const std::string instance = random_id("");
  insert.bind_text(instance).step();
  return connection;
}

}  // namespace svm::store
