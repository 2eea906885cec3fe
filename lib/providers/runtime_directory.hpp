// The directory for what must be known to all instances of a user on this machine, and must not outlive the machine's next start.
#pragma once
#include "core/fd.hpp"

namespace svm::providers {

/// /run/stacyvm for root, else $XDG_RUNTIME_DIR/stacyvm or /tmp/stacyvm-<uid>; mode 0700, made when missing. Error io when it cannot be made,
/// conflict when it belongs to somebody else or is open to others.
Fd open_runtime_directory();

}  // namespace svm::providers
