// Every bound of launch.hpp: accepted at the limit, refused one beyond.
#include <doctest/doctest.h>

#include "generate.hpp"

using namespace svm::protocol;
using namespace svm::protocol::test;

namespace {
template <class T, class F>
bool accepts(F change) {
  T value = make<T>(12);
  change(value);
  T back;
  return decoded(encoded(value), back) && back == value;
}

bool is_name(char c) { return kNameBytes.find(c) != kNameBytes.npos; }
}  // namespace

TEST_CASE("names become path components: nothing but letters, digits and '-'") {
  for (int c = 0; c < 256; ++c) {
    CAPTURE(c);
    const char byte = static_cast<char>(c);
    const std::string text = std::string("a") + byte;
    CHECK(accepts<Init>([&](auto& v) { v.instance = text; }) == is_name(byte));
    CHECK(accepts<Spawn>([&](auto& v) { v.name = text; }) == is_name(byte));
    CHECK(accepts<Spawn>([&](auto& v) { v.hostname = text; }) == (is_name(byte) || byte == '.'));
  }
  for (const size_t size : {size_t{0}, size_t{1}, size_t{64}, size_t{65}}) {
    CAPTURE(size);
    const std::string text(size, 'n');
    CHECK(accepts<Init>([&](auto& v) { v.instance = text; }) == (size >= 1 && size <= 64));
    CHECK(accepts<Spawn>([&](auto& v) { v.name = text; }) == (size >= 1 && size <= 64));
    CHECK(accepts<Spawn>([&](auto& v) { v.hostname = text; }) == (size <= 64));
  }
}

TEST_CASE("spawn: root, ids, profile") {
  const auto root = [](RootKind kind, std::string rootfs) {
    return accepts<Spawn>([&](Spawn& v) { v.root = kind, v.rootfs = rootfs; });
  };
  CHECK(root(RootKind::host, ""));
  CHECK(root(RootKind::empty, ""));
  CHECK_FALSE(root(RootKind::host, "/r"));
  CHECK_FALSE(root(RootKind::empty, "/r"));
  CHECK_FALSE(root(RootKind::directory, ""));
  CHECK_FALSE(root(RootKind::directory, "r"));
  CHECK(root(RootKind::directory, "/" + std::string(kMaxPathBytes - 1, 'r')));
  CHECK_FALSE(root(RootKind::directory, "/" + std::string(kMaxPathBytes, 'r')));
  CHECK_FALSE(root(RootKind::directory, std::string("/\0", 2)));
  CHECK_FALSE(root(static_cast<RootKind>(3), ""));

  CHECK(accepts<Spawn>([](auto& v) { v.id_base = UINT32_MAX - 65536; }));
  CHECK_FALSE(accepts<Spawn>([](auto& v) { v.id_base = UINT32_MAX - 65535; }));
  CHECK(accepts<Spawn>([](auto& v) { v.uid = v.gid = UINT32_MAX - 1; }));
  CHECK_FALSE(accepts<Spawn>([](auto& v) { v.uid = UINT32_MAX; }));
  CHECK_FALSE(accepts<Spawn>([](auto& v) { v.gid = UINT32_MAX; }));
  CHECK(accepts<Spawn>([](auto& v) { v.profile = Profile::build; }));
  CHECK_FALSE(accepts<Spawn>([](auto& v) { v.profile = static_cast<Profile>(3); }));
}

TEST_CASE("spawn: mounts") {
  const HostMount small{"/a", "/b", 1, 2, true};
  CHECK(accepts<Spawn>([&](auto& v) { v.mounts.assign(kMaxMounts, small); }));
  CHECK_FALSE(accepts<Spawn>([&](auto& v) { v.mounts.assign(kMaxMounts + 1, small); }));
  for (const auto member : {&HostMount::host, &HostMount::guest}) {
    const auto path = [&](std::string text) {
      return accepts<Spawn>([&](Spawn& v) {
        v.mounts = {small};
        v.mounts[0].*member = text;
      });
    };
    CHECK(path("/" + std::string(kMaxPathBytes - 1, 'm')));
    CHECK_FALSE(path("/" + std::string(kMaxPathBytes, 'm')));
    CHECK_FALSE(path(""));
    CHECK_FALSE(path("m"));
    CHECK_FALSE(path(std::string("/m\0", 3)));
  }
}

TEST_CASE("a launch message fits one datagram") {
  // Long mounts up to exactly the limit, then one byte more in the last.
  Spawn spawn = make<Spawn>(12);
  const HostMount longest{"/" + std::string(kMaxPathBytes - 1, 'h'), "/" + std::string(kMaxPathBytes - 1, 'g'), 1, 2, false};
  const HostMount shortest{"/", "/", 1, 2, false};
  spawn.mounts.clear();
  const size_t each = encoded(Spawn{.mounts = {longest}}).size() - encoded(Spawn{}).size();
  const size_t least = encoded(Spawn{.mounts = {shortest}}).size() - encoded(Spawn{}).size();
  while (encoded(spawn).size() + each + least < kMaxLaunchMessage) spawn.mounts.push_back(longest);
  spawn.mounts.push_back(shortest);
  const size_t missing = kMaxLaunchMessage - encoded(spawn).size();
  const size_t host = std::min<size_t>(missing, kMaxPathBytes - 1);
  spawn.mounts.back().host += std::string(host, 'x');
  spawn.mounts.back().guest += std::string(missing - host, 'x');
  REQUIRE(encoded(spawn).size() == kMaxLaunchMessage);
  Spawn back;
  CHECK(decoded(encoded(spawn), back));
  CHECK(back == spawn);
  std::string& path = spawn.mounts.back().guest.size() < kMaxPathBytes ? spawn.mounts.back().guest : spawn.mounts.back().host;
  REQUIRE(path.size() < kMaxPathBytes);
  path += 'x';
  CHECK_FALSE(decoded(encoded(spawn), back));
}

TEST_CASE("answers of the launcher") {
  for (const auto member : {&Online::error, &Online::memory_error, &Online::swap_error, &Online::cpu_error, &Online::pids_error}) {
    CHECK(accepts<Online>([&](auto& v) { v.*member = 0; }));
    CHECK(accepts<Online>([&](auto& v) { v.*member = 4095; }));
    CHECK_FALSE(accepts<Online>([&](auto& v) { v.*member = 4096; }));
    CHECK_FALSE(accepts<Online>([&](auto& v) { v.*member = -1; }));
  }
  CHECK(accepts<Online>([](auto& v) { v.step = Step::none; }));
  CHECK(accepts<Online>([](auto& v) { v.step = Step::former_launcher; }));
  CHECK_FALSE(accepts<Online>([](auto& v) { v.step = static_cast<Step>(static_cast<uint16_t>(Step::former_launcher) + 1); }));
  CHECK(accepts<Online>([](auto& v) { v.cgroup_version = 2; }));
  CHECK_FALSE(accepts<Online>([](auto& v) { v.cgroup_version = 3; }));

  CHECK_FALSE(accepts<Refused>([](auto& v) { v.failure.step = Step::none; }));
  CHECK(accepts<Refused>([](auto& v) { v.failure.error = 4095; }));
  CHECK_FALSE(accepts<Refused>([](auto& v) { v.failure.error = 4096; }));
}

TEST_CASE("the owner's key has its size; without one nobody takes over, and nothing waits for somebody who does") {
  for (const size_t size : {size_t{0}, kOwnerKeyBytes - 1, kOwnerKeyBytes, kOwnerKeyBytes + 1}) {
    CAPTURE(size);
    const std::string key(size, 'k');
    CHECK(accepts<Claim>([&](auto& v) { v.key = key; }) == (size == kOwnerKeyBytes));
    CHECK(accepts<Init>([&](auto& v) { v.key = key, v.detached = true; }) == (size == kOwnerKeyBytes));
    CHECK(accepts<Init>([&](auto& v) { v.key = key, v.detached = false; }) == (size == kOwnerKeyBytes || size == 0));
  }
  for (const size_t size : {size_t{0}, size_t{1}, size_t{64}, size_t{65}})
    CHECK(accepts<Adopted>([&](auto& v) { v.name = std::string(size, 'n'); }) == (size >= 1 && size <= 64));
  CHECK_FALSE(accepts<Adopted>([](auto& v) { v.name = "n", v.expires_in_ms = uint64_t{INT64_MAX} + 1; }));
  CHECK(accepts<Expire>([](auto& v) { v.in_ms = INT64_MAX; }));
  CHECK_FALSE(accepts<Expire>([](auto& v) { v.in_ms = uint64_t{INT64_MAX} + 1; }));
}
