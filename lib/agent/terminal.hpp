// Pseudo-terminals of the sandbox's own devpts.
#pragma once
#include <cstdint>

#include "core/fd.hpp"

namespace svm::agent {

inline constexpr uint32_t kDefaultRows = 24, kDefaultColumns = 80;

/// A new pair; the slave belongs to the calling thread's file system identity and nobody else may open it. The master does not
/// block. 0 or -errno.
int open_terminal(uint32_t rows, uint32_t columns, Fd& master, Fd& slave) noexcept;
/// What runs in its foreground gets SIGWINCH. 0 or -errno.
int resize_terminal(int master, uint32_t rows, uint32_t columns) noexcept;
/// The byte that means end of input there now; -1 where none does (a program reads keys as they come).
int end_of_input(int master) noexcept;

}  // namespace svm::agent
