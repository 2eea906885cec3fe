// What cannot be ended while it is recovered is no reason to have nothing else.
#include <cerrno>
#include <filesystem>

#include "../contract/lab.hpp"
#include "aftermath.hpp"
#include "arming.hpp"
#include "life.hpp"
#include "world.hpp"

using namespace svm::test;

namespace {

/// A sandbox runs that its owner, which is killed, has not recorded as running; the next owner's attempt to end it fails.
void leave_one_that_stays(const Setting& setting) {
  Setting detached = setting;
  detached.detached = true;
  world().arming.arm("provider.launched", svm::fail_point::kKill);
  CHECK(live(detached, 1).killed);
  REQUIRE(world().arming.disarm());
  world().arming.arm("provider.destroy", EIO);
}

void goes_on(const Setting& setting) {
  const Told told = live(setting, 1);
  CHECK(world().arming.disarm());
  for (const Failure& failure : told.failures) FAIL_CHECK(failure.message << ' ' << failure.details);
  CHECK(told.lives == 1);
  world().aftermath.check(setting.state, told.sandboxes);
}

}  // namespace

TEST_CASE("one that cannot be ended at once is left to the reaper, and the directory opens") {
  TemporaryDirectory directory;
  furnish(directory.path());
  const Setting setting{directory.path() + "/state", directory.path(), world().limits};
  leave_one_that_stays(setting);
  goes_on(setting);
}

TEST_CASE("nor does one without a record keep the directory closed") {
  TemporaryDirectory directory;
  furnish(directory.path());
  const Setting setting{directory.path() + "/state", directory.path(), world().limits};
  leave_one_that_stays(setting);
  for (const char* name : {"stacyvm.db", "stacyvm.db-wal", "stacyvm.db-shm"}) std::filesystem::remove(setting.state + '/' + name);
  goes_on(setting);
}
