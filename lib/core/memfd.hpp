// Memory that is a file.
#pragma once

namespace svm {

/// Seals a memfd against every change. The kernel refuses (EBUSY) while something else holds one of its pages, as reclaim and migration do for
/// moments of their own: that is waited for, for about 2 s in all. 0 or -errno (fcntl(2), F_ADD_SEALS).
int seal_memfd(int fd) noexcept;

}  // namespace svm
