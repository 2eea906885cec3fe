// Waiting that a signal ends.
#pragma once
#include <stacyvm/stacyvm.hpp>

#include "signals.hpp"

namespace cli {

/// A signal that asks us to end came while we waited.
struct Interrupted {
  int signal;
};

/// Until poll has one of `events` for the descriptor. Throws Interrupted, and std::system_error.
void wait_for(int fd, short events, Signals& signals);
/// Until the call has ended; throws what it failed with. A signal cancels it first: Interrupted.
void wait_for(stacyvm::Op& op, Signals& signals);

}  // namespace cli
