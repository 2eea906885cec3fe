// The system call filter as data, so that tests can run it without installing it.
#pragma once
#include <linux/filter.h>

#include <cstddef>

#include "isolation/lockdown.hpp"

namespace svm::isolation {

inline constexpr size_t kMaxFilterLength = 640;  // instructions; the kernel takes 4096

struct SeccompFilter {
  sock_filter code[kMaxFilterLength] = {};
  unsigned short length = 0;
};

/// The profile's program, made when this was compiled.
const SeccompFilter& seccomp_filter(Profile profile) noexcept;

}  // namespace svm::isolation
