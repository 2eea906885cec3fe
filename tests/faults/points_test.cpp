// The library fails, or dies, at each of its fail points in turn: the caller is told what failed, nothing is left behind, and what is done
// again succeeds. STACYVM_TEST_POINT=NAME in the environment: only at those whose name has that in it, and at every pass.
#include <dlfcn.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>

#include "../contract/lab.hpp"
#include "aftermath.hpp"
#include "arming.hpp"
#include "life.hpp"
#include "points.hpp"
#include "world.hpp"

using namespace svm::test;

namespace {

constexpr uint32_t kMostPasses = 200;  // of one point in a life: more would be a loop

/// The bytes of the library that this program runs with.
std::string library() {
  Dl_info info{};
  REQUIRE(dladdr(reinterpret_cast<void*>(&stacyvm_open), &info) != 0);
  return read_host_file(info.dli_fname);
}

bool expected(const Point& point, const Failure& failure) {
  const std::string name = point.name, step = "\"step\":\"" + name.substr(name.find('.') + 1) + '"';
  const auto says = [&](const std::string& text) { return failure.message.find(text) != std::string::npos || failure.details.find(text) != std::string::npos; };
  return failure.code == point.code && (point.text ? says(point.text) : says(step) || says(name));
}

/// A life in which the point acts when it is passed for the nth time, one after it, and what there is then. False: it is not passed so often.
bool walk(const Point& point, int32_t action, uint32_t nth) {
  CAPTURE(std::string(point.name));
  CAPTURE(action);
  CAPTURE(nth);
  World& here = world();
  TemporaryDirectory directory;
  furnish(directory.path());
  const Setting setting{directory.path() + "/state", directory.path(), here.limits, (point.needs & kDetached) != 0};
  here.arming.arm(point.name, action, nth);
  Told told = live(setting, 2);
  const bool acted = here.arming.disarm();
  std::vector<std::string> sandboxes = told.sandboxes;
  if (told.killed) {
    CHECK(action == svm::fail_point::kKill);
    CHECK(acted);
    const Told next = live(setting, 1);
    for (const Failure& failure : next.failures) FAIL_CHECK("after the kill: " << failure.message << ' ' << failure.details);
    CHECK(next.lives == 1);
    sandboxes.insert(sandboxes.end(), next.sandboxes.begin(), next.sandboxes.end());
  } else {
    CHECK(told.failures.size() <= 1);
    CHECK(told.lives == 2 - told.failures.size());
    for (const Failure& failure : told.failures) {
      CAPTURE(failure.code);
      CAPTURE(failure.message);
      CAPTURE(failure.details);
      // Of a process that was killed there is nothing to be said but that it has ended; what it ran is not there to be adopted.
      const bool gone = failure.code == STACYVM_E_UNAVAILABLE || (setting.detached && failure.code == STACYVM_E_NOT_FOUND);
      CHECK((action == svm::fail_point::kKill ? gone : expected(point, failure)));
    }
    if (acted && action > 0 && point.kind == Kind::fails) CHECK(told.failures.size() == 1);
    if (action > 0 && point.kind == Kind::heals) CHECK(told.failures.empty());
  }
  here.aftermath.check(setting.state, sandboxes);
  return acted;
}

void walk_all(int32_t action) {
  const char* only = std::getenv("STACYVM_TEST_POINT");
  for (const Point& point : kPoints) {
    if (only && std::string_view(point.name).find(only) == std::string_view::npos) continue;
    if ((point.needs & ~world().has) != 0 || (action > 0 && point.kind == Kind::no_error)) continue;
    uint32_t passes = 0;
    while (passes < (only ? kMostPasses : point.passes) && walk(point, action, passes)) ++passes;
    CHECK_MESSAGE(passes > 0, std::string(point.name) << " is not passed");
    CHECK(passes < kMostPasses);
  }
}

}  // namespace

TEST_CASE("every fail point of the library is in the list, and none besides") {
  std::set<std::string> listed;
  for (const Point& point : kPoints) CHECK_MESSAGE(listed.insert(point.name).second, std::string(point.name));
  std::set<std::string> built = fail_points_of(library());
  built.merge(fail_points_of(tool("stacyvm-agent")));
  std::vector<std::string> difference;
  std::set_symmetric_difference(listed.begin(), listed.end(), built.begin(), built.end(), std::back_inserter(difference));
  for (const std::string& name : difference) FAIL_CHECK(name);
}

TEST_CASE("a failure at each point: the error names it, nothing is left, the next time it works") { walk_all(EIO); }

TEST_CASE("killed at each point: the next owner finds a sound store and nothing that runs") { walk_all(svm::fail_point::kKill); }

TEST_CASE("no memory for a launcher's stack is a limit") {
  world();
  TemporaryDirectory directory;
  furnish(directory.path());
  world().arming.arm("host.agent_stack", ENOMEM);
  const Told told = live({directory.path() + "/state", directory.path(), world().limits}, 2);
  CHECK(world().arming.disarm());
  REQUIRE(told.failures.size() == 1);
  CHECK(told.failures[0].code == STACYVM_E_LIMIT);
  CHECK(told.failures[0].details.find("\"step\":\"agent_stack\"") != std::string::npos);
  CHECK(told.lives == 1);
}
