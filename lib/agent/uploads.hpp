// Files that are being sent in parts: what of them has come, between the streams that bring it.
#pragma once
#include <cstdint>
#include <list>
#include <string>
#include <string_view>

#include "agent/identity.hpp"
#include "core/fd.hpp"

namespace svm::agent {

inline constexpr size_t kMaxUploads = 16;  // of one sandbox; a further one drops that which was left longest ago

/// The bytes are in a temporary file beside the target, as those of every write; that file and its directory are held open, and a name that
/// leads elsewhere by now is no more than a lost upload.
struct Upload {
  std::string name, path;
  Identity who;
  Fd directory, file;  // while no stream writes
  std::string leaf, temporary;
  uint64_t size = 0;
  bool writing = true;
};

class Uploads {
 public:
  Upload* find(std::string_view name) noexcept;
  /// All that may be are being written.
  bool full() const noexcept;
  Upload& add(std::string name, std::string path, const Identity& who);
  /// No stream writes it any more: now it is the last one to be dropped.
  void leave(Upload& upload) noexcept;
  /// Forgets it; its file is the caller's business.
  void remove(const Upload& upload) noexcept;
  /// Drops what is too much, with its file. Not while acting as somebody.
  void trim(const Rights& rights) noexcept;

 private:
  std::list<Upload> uploads_;  // those left longest ago first
};

/// Whether the temporary file is still what was written, under its name.
bool is_intact(const Upload& upload) noexcept;
bool is_intact(int directory, const std::string& temporary, int file, uint64_t size) noexcept;
/// Removes the temporary file as whoever the caller acts as.
void unlink_staged(const Upload& upload) noexcept;

}  // namespace svm::agent
