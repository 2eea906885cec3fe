// Allocations of this program and of the libraries that it is linked with, failing when a test wants it.
#pragma once
#include <cstdint>

namespace svm::test {

/// Of all threads together, the nth allocation by operator new from now on throws std::bad_alloc; it is the only one. 0: the next.
void fail_allocation(int64_t nth);

/// Lets everything succeed again. Whether the allocation had failed.
bool stop_failing();

}  // namespace svm::test
