#include "providers/native/id_ranges.hpp"

#include <fcntl.h>

#include <cerrno>

#include "core/error.hpp"
#include "model/records.hpp"
#include "providers/runtime_directory.hpp"

namespace svm::providers::native {
namespace {

bool set_lock(int file, short type, uint32_t base) noexcept {
  struct flock lock {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = base / model::kIdsPerRange;
  lock.l_len = 1;
  return ::fcntl(file, F_OFD_SETLK, &lock) == 0;
}

}  // namespace

IdRanges::IdRanges() {
  try {
    const Fd directory = open_runtime_directory();
    file_.reset(::openat(directory.get(), "id-ranges", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!file_) throw errno_error(Code::io, errno, "runtime directory: id-ranges");
  } catch (const Error& error) {  // a read-only system, say: sandboxes report it as unenforced
    problem_ = error.message();
  }
}

bool IdRanges::claim(uint32_t base) noexcept { return !file_ || set_lock(file_.get(), F_WRLCK, base); }

void IdRanges::release(uint32_t base) noexcept {
  if (file_) (void)set_lock(file_.get(), F_UNLCK, base);  // fails only for a file that is none
}

}  // namespace svm::providers::native
