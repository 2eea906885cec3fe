// What all tests of faults share.
#pragma once
#include <cstdint>

#include "aftermath.hpp"
#include "arming.hpp"

namespace svm::test {

/// Made once, in this order: before the first use of the library, which then lives once without a fault.
struct World {
  World();
  Arming arming;
  Aftermath aftermath;
  uint8_t has = 0;  // Needs
  bool limits = true;
};
World& world();

}  // namespace svm::test
