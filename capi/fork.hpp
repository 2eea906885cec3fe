// Which process a handle belongs to.
#pragma once
#include <cstdint>

namespace svm::capi {

/// A number that stays the same for the life of a process and differs in a forked child. Costs one load: the kernel wipes the page
/// behind it in the child, so no handler has to be registered and raw clone(2) is noticed as well.
uint64_t process_generation() noexcept;

}  // namespace svm::capi
