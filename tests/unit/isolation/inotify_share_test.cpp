#include "isolation/inotify_share.hpp"

#include <doctest/doctest.h>

#include <cerrno>
#include <cstdlib>
#include <initializer_list>

using namespace svm::isolation;

TEST_CASE("a sandbox's share of a quota is a quarter, at least one and at most what is sensible") {
  CHECK(share_of(128, kMaxSandboxInotifyInstances) == 32);
  CHECK(share_of(4 * kMaxSandboxInotifyInstances, kMaxSandboxInotifyInstances) == kMaxSandboxInotifyInstances);
  CHECK(share_of(4 * kMaxSandboxInotifyInstances - 1, kMaxSandboxInotifyInstances) == kMaxSandboxInotifyInstances - 1);
  CHECK(share_of(INT64_MAX, kMaxSandboxInotifyWatches) == kMaxSandboxInotifyWatches);
  for (const int64_t little : {0, 1, 3, 7}) CHECK(share_of(little, 256) == 1);
}

TEST_CASE("this host's quotas are read") {
  InotifyShare share;
  REQUIRE(read_inotify_share(share) == 0);
  CHECK(std::atoll(share.instances) >= 1);
  CHECK(std::atoll(share.instances) <= kMaxSandboxInotifyInstances);
  CHECK(std::atoll(share.watches) >= 1);
  CHECK(std::atoll(share.watches) <= kMaxSandboxInotifyWatches);
}

TEST_CASE("a share that cannot be set is an error, and none is nothing to do") {
  InotifyShare share;
  CHECK(set_inotify_share(-1, share) == 0);
  share.instances[0] = '1';
  CHECK(set_inotify_share(-1, share) == -EBADF);
}
