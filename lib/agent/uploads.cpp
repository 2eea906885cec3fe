#include "agent/uploads.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

namespace svm::agent {

Upload* Uploads::find(std::string_view name) noexcept {
  for (Upload& upload : uploads_)
    if (upload.name == name) return &upload;
  return nullptr;
}

bool Uploads::full() const noexcept {
  return uploads_.size() >= kMaxUploads && std::all_of(uploads_.begin(), uploads_.end(), [](const Upload& upload) { return upload.writing; });
}

Upload& Uploads::add(std::string name, std::string path, const Identity& who) {
  Upload& upload = uploads_.emplace_back();
  upload.name = std::move(name);
  upload.path = std::move(path);
  upload.who = who;
  return upload;
}

void Uploads::leave(Upload& upload) noexcept {
  upload.writing = false;
  const auto here = std::find_if(uploads_.begin(), uploads_.end(), [&](const Upload& other) { return &other == &upload; });
  uploads_.splice(uploads_.end(), uploads_, here);
}

void Uploads::remove(const Upload& upload) noexcept {
  uploads_.remove_if([&](const Upload& other) { return &other == &upload; });
}

void Uploads::trim(const Rights& rights) noexcept {
  while (uploads_.size() > kMaxUploads) {
    const auto oldest = std::find_if(uploads_.begin(), uploads_.end(), [](const Upload& upload) { return !upload.writing; });
    if (oldest == uploads_.end()) return;
    {
      const ActAs as(rights, oldest->who);
      if (as.error() == 0) unlink_staged(*oldest);
    }
    uploads_.erase(oldest);
  }
}

bool is_intact(int directory, const std::string& temporary, int file, uint64_t size) noexcept {
  struct stat named, held;
  if (::fstatat(directory, temporary.c_str(), &named, AT_SYMLINK_NOFOLLOW) < 0 || ::fstat(file, &held) < 0) return false;
  return named.st_dev == held.st_dev && named.st_ino == held.st_ino && held.st_size >= 0 && static_cast<uint64_t>(held.st_size) == size;
}

bool is_intact(const Upload& upload) noexcept { return is_intact(upload.directory.get(), upload.temporary, upload.file.get(), upload.size); }

void unlink_staged(const Upload& upload) noexcept {
  // ENOENT: the sandbox removed it itself.
  (void)::unlinkat(upload.directory.get(), upload.temporary.c_str(), 0);
}

}  // namespace svm::agent
