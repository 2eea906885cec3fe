// Time as a test wants it, for this program and everything that it forks: clocks jump, and an hour passes in a moment.
//
// Whoever links this reads the system's clocks through it, the library under test included; until a test moves them they are the system's. A wait
// that has begun ends when it would have; one that begins later knows the moved clock.
#pragma once
#include <chrono>

namespace svm::test {

/// Moves CLOCK_REALTIME and nothing else, as an administrator or a time server does.
void jump_wall_clock(std::chrono::milliseconds by);

/// Moves all clocks: so much time has passed.
void pass_time(std::chrono::milliseconds by);

/// Puts the clocks right again at the end of a test.
struct ClockKeeper {
  ClockKeeper() = default;
  ClockKeeper(const ClockKeeper&) = delete;
  ClockKeeper& operator=(const ClockKeeper&) = delete;
  ~ClockKeeper();
};

}  // namespace svm::test
