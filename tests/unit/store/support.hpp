// What the store's tests share: a directory of their own, records, and skipping with a reason.
#pragma once
#include <doctest/doctest.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

#include "core/error.hpp"
#include "core/id.hpp"
#include "store/store.hpp"

namespace svm::store::test {

/// A private directory, removed at the end of the scope.
class Directory {
 public:
  Directory() {
    const char* base = std::getenv("TMPDIR");
    path_ = std::string(base != nullptr ? base : "/tmp") + "/svm-store-XXXXXX";
    if (mkdtemp(path_.data()) == nullptr) throw errno_error(errno, "mkdtemp");
  }
  ~Directory() {
    nftw(path_.c_str(), [](const char* name, const struct stat*, int, FTW*) { return remove(name); }, 16, FTW_DEPTH | FTW_PHYS);
  }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;
  const std::string& path() const { return path_; }
  std::string operator/(const char* name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

inline std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
inline void write_file(const std::string& path, const std::string& bytes) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out << bytes;
  out.close();
  if (!out) throw Error(Code::io, "write " + path);
}
inline mode_t mode_of(const std::string& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) throw errno_error(errno, path);
  return info.st_mode & 07777;
}

inline model::SandboxRecord sandbox(std::string id) {
  model::SandboxRecord record;
  record.id = std::move(id);
  record.provider = "native";
  record.image = "host";
  record.memory_bytes = 1024ULL << 20;
  record.disk_bytes = 512ULL << 20;
  record.milli_cpus = 1000;
  record.pids = 256;
  record.profile = "default";
  record.user = "user";
  record.network = "none";
  record.created_ms = 1'700'000'000'000;
  record.expires_ms = record.created_ms + 1'800'000;
  return record;
}

inline const Store::Reserve kRoom{100'000, 0, false, 0, 0};

inline model::AuditRow audit_row(std::string object) {
  model::AuditRow row;
  row.actor = "local";
  row.action = "sandbox.spawn";
  row.object = std::move(object);
  row.phase = "intent";
  return row;
}

/// The code of the Error that the function throws; ok when it throws none.
template <class Function>
Code code_of(Function function) {
  try {
    function();
  } catch (const Error& error) {
    return error.code();
  }
  return Code::ok;
}

/// The fact of the Error that the function throws; "" when there is none.
template <class Function>
std::string fact_of(const std::string& key, Function function) {
  try {
    function();
  } catch (const Error& error) {
    for (const auto& [name, value] : error.facts()) {
      if (name == key) return value;
    }
  }
  return {};
}

inline void skip(const char* what, const std::string& reason) { std::printf("SKIP %s: %s\n", what, reason.c_str()); }

}  // namespace svm::store::test

namespace doctest {
template <>
struct StringMaker<svm::Code> {
  static String convert(svm::Code code) { return std::string(svm::code_name(code)).c_str(); }
};
}  // namespace doctest
