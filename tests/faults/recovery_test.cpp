// What cannot be ended, or adopted, while it is recovered is no reason to have nothing else; and an open that fails costs nothing.
#include <cerrno>
#include <filesystem>

#include "../contract/lab.hpp"
#include "aftermath.hpp"
#include "arming.hpp"
#include "life.hpp"
#include "store/store.hpp"
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

/// A life that spawns a sandbox, lets go, and fails to open the directory again, or to find it there; and another that goes well. Why the first
/// one's sandbox ended.
std::string reason_after_two_lives(const Setting& setting, int32_t code) {
  const Told told = live(setting, 2);
  CHECK(world().arming.disarm());
  REQUIRE(told.failures.size() == 1);
  CAPTURE(told.failures[0].message);
  CHECK(told.failures[0].code == code);
  CHECK(told.lives == 1);
  REQUIRE(told.sandboxes.size() == 2);
  world().aftermath.check(setting.state, told.sandboxes);
  return svm::store::open_sqlite(setting.state, true)->get(told.sandboxes[0])->reason;
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

TEST_CASE("sandboxes that cannot be adopted end and are lost on record, and the directory opens") {
  world();
  TemporaryDirectory directory;
  Setting setting{directory.path() + "/state", directory.path(), world().limits, true};
  world().arming.arm("provider.adopt", EMFILE, 1);
  CHECK(reason_after_two_lives(setting, STACYVM_E_NOT_FOUND) == "lost");
  bool told = false;
  for (const svm::model::Event& event : svm::store::open_sqlite(setting.state, true)->events(0, UINT32_MAX))
    told |= event.type == "reconcile.action" && event.data.find("it could not be adopted: provider.adopt") != std::string::npos;
  CHECK(told);
}

TEST_CASE("an open that fails leaves a detached instance's sandboxes to the next one") {
  world();
  TemporaryDirectory directory;
  Setting setting{directory.path() + "/state", directory.path(), world().limits, true};
  world().arming.arm("store.prune", EIO, 1);
  CHECK(reason_after_two_lives(setting, STACYVM_E_IO) == "shutdown");
}
