// Threads of the library.
#pragma once
#include <functional>

namespace svm::capi {

/// Runs `job`, which must not throw, on a thread of its own that blocks every signal and that nobody joins. `name`: at most 15 bytes, static.
/// Throws std::system_error.
void start_thread(const char* name, std::function<void()> job);

}  // namespace svm::capi
