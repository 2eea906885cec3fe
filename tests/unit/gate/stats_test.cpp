// What the agent tells of the disk beside what the host counts.
#include "fakes.hpp"

using namespace svm;
using namespace svm::test;

namespace {
model::SandboxStats stats(Rig& rig) { return rig.gate.run<ops::SandboxStats>(rig.caller, {kId}); }
}  // namespace

TEST_CASE("stats: the agent tells what is on the disk") {
  Rig rig;
  protocol::encode(rig.script().result_value.body, protocol::DiskStats{4096, 1024, 10, 3});
  const model::SandboxStats told = stats(rig);
  CHECK(rig.session().last().op == protocol::Op::stats);
  CHECK(told.disk == 1024);
  CHECK(told.inodes == 3);
  CHECK(told.inodes_limit == 10);
  CHECK(told.missing.empty());
}

TEST_CASE("stats: what a file system does not count is null, with the reason") {
  Rig rig;
  protocol::encode(rig.script().result_value.body, protocol::DiskStats{4096, 0, 0, 0});
  const model::SandboxStats told = stats(rig);
  CHECK(told.disk == 0);
  CHECK(told.inodes == -1);
  CHECK(told.inodes_limit == -1);
  CHECK(told.missing == std::vector<std::string>{"inodes: the file system does not count them"});
}

TEST_CASE("stats: an agent that fails, or says what cannot be, takes nothing from what the host counts") {
  Rig rig;
  SUBCASE("fails") { rig.script().result_value = {Code::unsupported, 0, "no disk", "", {}}; }
  SUBCASE("says no stats") { rig.script().result_value.body = "garbage"; }
  SUBCASE("says too much") { protocol::encode(rig.script().result_value.body, protocol::DiskStats{UINT64_MAX, 1, 1, 1}); }
  const model::SandboxStats told = stats(rig);
  CHECK(told.id == kId);
  CHECK(told.disk == -1);
  CHECK(told.inodes == -1);
  CHECK(told.inodes_limit == -1);
  REQUIRE(told.missing.size() == 2);
  CHECK(told.missing[0].starts_with("disk_bytes: "));
  CHECK(told.missing[1].starts_with("inodes: "));
}
