// The launcher: the one process that clones sandboxes. A mode of the agent executable, started once per instance.
#pragma once

namespace svm::launcher {

/// Serves over `socket` (SOCK_SEQPACKET to the library) until it ends or the host process does, then ends every sandbox, removes its
/// control groups and returns an exit status. Single-threaded; never waits for one sandbox.
int run(int socket) noexcept;

}  // namespace svm::launcher
