// Host ids that no other sandbox of this machine has, whichever process or instance started it.
#pragma once
#include <cstdint>
#include <string>
#include <utility>

#include "core/fd.hpp"

namespace svm::providers::native {

/// Claims are locks on single bytes of one file in the runtime directory. They belong to the open file, not to the process: two instances in
/// one process respect each other, the launcher holds the file too, so that ids stay taken until the last sandbox of a killed host has ended, and the
/// kernel drops the claims when nobody holds the file any more. Thread-safe.
class IdRanges {
 public:
  IdRanges();
  /// Goes on with the claims of another owner, whose file this was.
  explicit IdRanges(Fd file) noexcept : file_(std::move(file)) {}
  /// Why ranges are only this instance's own, and every claim is granted: no file could be opened. Empty when all is well.
  const std::string& problem() const noexcept { return problem_; }
  /// False when somebody has the range, or the kernel cannot tell. `base` is its first id.
  bool claim(uint32_t base) noexcept;
  void release(uint32_t base) noexcept;
  int file() const noexcept { return file_.get(); }

 private:
  Fd file_;
  std::string problem_;
};

}  // namespace svm::providers::native
