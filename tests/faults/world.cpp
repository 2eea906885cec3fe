#include "world.hpp"

#include <unistd.h>

#include "../contract/lab.hpp"
#include "life.hpp"
#include "points.hpp"

namespace svm::test {

World::World() {
  TemporaryDirectory directory;
  furnish(directory.path());
  Setting setting{directory.path() + "/state", directory.path()};
  Told told = live(setting, 1);
  if (told.lives == 0 && told.failures.size() == 1 && told.failures[0].code == STACYVM_E_UNSUPPORTED) {
    setting.limits = limits = false;
    told = live(setting, 1);
  }
  for (const Failure& failure : told.failures) FAIL_CHECK(failure.message << ' ' << failure.details);
  REQUIRE(told.lives == 1);
  setting.detached = true;
  const Told detached = live(setting, 1);
  for (const Failure& failure : detached.failures) FAIL_CHECK(failure.message << ' ' << failure.details);
  REQUIRE(detached.lives == 1);
  aftermath.check(setting.state, told.sandboxes);
  const bool groups = told.info.find("\"memory\"") != std::string::npos && limits;
  const bool first_version = access("/sys/fs/cgroup/cgroup.controllers", F_OK) != 0;
  has = static_cast<uint8_t>(kDetached | (told.info.find("\"id_range\"") != std::string::npos ? kRanges : kNoRanges) | (groups ? kGroups : 0) |
                             (groups && first_version ? kGroups1 : 0));
}

World& world() {
  static World one;
  return one;
}

}  // namespace svm::test
