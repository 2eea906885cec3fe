#include "fork.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <new>

namespace svm::capi {
namespace {

using Word = std::atomic<uint64_t>;

/// A page that reads as zero in a child; nullptr where the kernel cannot do that.
Word* make_wiped_word() noexcept {
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  void* memory = mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return nullptr;
  if (madvise(memory, page, MADV_WIPEONFORK) != 0) {
    munmap(memory, page);
    return nullptr;
  }
  return new (memory) Word(0);
}

}  // namespace

uint64_t process_generation() noexcept {
  static Word* const word = make_wiped_word();  // never unmapped: handles may outlive everything
  static Word last{0};                          // inherited, so that a child's number differs from its parent's
  if (!word) return static_cast<uint64_t>(getpid());
  uint64_t seen = word->load(std::memory_order_acquire);
  if (seen != 0) return seen;
  const uint64_t mine = last.fetch_add(1) + 1;
  return word->compare_exchange_strong(seen, mine) ? mine : seen;
}

}  // namespace svm::capi
