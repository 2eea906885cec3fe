// Entries on their way to the host: sorted, then encoded and sent under credit.
#pragma once
#include <string>
#include <vector>

#include "agent/loop.hpp"

namespace svm::agent {

inline constexpr size_t kMaxEntries = 100'000;  // a list or glob holds, whatever limit was asked for
inline constexpr size_t kReadDirBytes = 32 * 1024;

/// A stream that first collects names (in turns) and then sends an Entry for each.
class EntryStream : public Stream {
 public:
  using Stream::Stream;
  void on_room() override { want_turn(); }
  bool on_turn() final;

 protected:
  /// A bounded piece of collecting into names_; true: done. May finish().
  virtual bool collect() = 0;
  /// What `name` is now; false: it is gone.
  virtual bool describe(const std::string& name, protocol::FileInfo& info) = 0;
  virtual const Identity& who() const noexcept = 0;
  /// Code::limit, naming the number; used when names_ would exceed it.
  void finish_too_many(std::string_view verb, std::string_view path, size_t limit);

  std::vector<std::string> names_;

 private:
  bool send();
  bool collected_ = false;
  size_t next_ = 0;
  std::string batch_;  // encoded, not yet sent
};

/// The number of entries a request may get: `limit`, or kMaxEntries for 0 and for more than that.
size_t entry_limit(uint32_t limit) noexcept;

/// Names of a directory, read in pieces. "." and ".." are left out.
class DirectoryReader {
 public:
  /// `fd`: opened for reading, taken over.
  explicit DirectoryReader(Fd fd) : fd_(std::move(fd)) {}
  int fd() const noexcept { return fd_.get(); }
  struct Name {
    std::string name;
    unsigned char type;  // DT_*
  };
  /// Appends what one getdents64 gives. 1: there may be more, 0: the end, -errno.
  int read(std::vector<Name>& out);

 private:
  Fd fd_;
};

}  // namespace svm::agent
