// What whoever opens an instance may decide: every bound, and that nothing is ignored.
#include "expect.hpp"
#include "model/fields.hpp"
#include "model/limits.hpp"

using namespace svm;
using namespace svm::model;
using svm::test::check_refused;

namespace {

Settings settings(std::string_view json) { return decode<Settings>({}, json); }

/// Both `good` and `bad` are JSON of the member of "defaults".
void at_the_limit(std::string_view member, std::string_view good, std::string_view bad) {
  const auto with = [&](std::string_view value) { return "{\"defaults\":{\"" + std::string(member) + "\":" + std::string(value) + "}}"; };
  INFO("member: ", std::string(member));
  CHECK_NOTHROW(settings(with(good)));
  check_refused("defaults." + std::string(member), [&] { settings(with(bad)); });
}

std::string aliases(size_t count) {
  std::string json = R"({"images":{"aliases":{)";
  for (size_t i = 0; i < count; ++i) json += (i > 0 ? ",\"a" : "\"a") + std::to_string(i) + "\":\"host\"";
  return json + "}}}";
}

std::string alias(const std::string& name, const std::string& target) { return R"({"images":{"aliases":{")" + name + "\":\"" + target + "\"}}}"; }

}  // namespace

TEST_CASE("settings: nothing said is the library's own") {
  for (const char* nothing : {"", "{}", R"({"defaults":{},"images":{}})", R"({"defaults":null,"images":{"aliases":null}})", R"({"defaults":{"image":"","ttl":"0","max_ttl":"0s","max_sandboxes":0}})"}) {
    CAPTURE(nothing);
    const Defaults defaults = settings(nothing).defaults;
    CHECK(defaults.most_ttl_ms() == kMaxTtlMs);
    CHECK(defaults.usual_ttl_ms() == kDefaultTtlMs);
    CHECK(defaults.most_sandboxes() == kMaxSandboxes);
    CHECK(defaults.usual_memory() == kDefaultMemoryBytes);
    CHECK(defaults.usual_disk() == kDefaultDiskBytes);
    CHECK(defaults.usual_cpus() == kDefaultMilliCpus);
    CHECK(defaults.usual_pids() == kDefaultPids);
    CHECK(defaults.max_exec_timeout_ms == 0);
    CHECK(defaults.max_sandboxes_per_owner == 0);
  }
}

TEST_CASE("settings: what is said holds") {
  const Settings all = settings(R"({"defaults":{"image":"py","provider":"native","memory_mb":64,"disk_mb":32,"vcpus":0.5,"pids":10,"ttl":"5m","max_ttl":"10m","default_exec_timeout":"1s",)"
                                R"("max_exec_timeout":"2s","max_sandboxes":3,"max_sandboxes_per_owner":2},"images":{"aliases":{"py":"/srv/py","alpine:latest":"host"}}})");
  const Defaults& d = all.defaults;
  CHECK((d.image == "py" && d.provider == "native" && d.usual_memory() == 64u << 20 && d.usual_disk() == 32u << 20 && d.usual_cpus() == 500 && d.usual_pids() == 10));
  CHECK((d.usual_ttl_ms() == 300'000 && d.most_ttl_ms() == 600'000 && d.default_exec_timeout_ms == 1000 && d.max_exec_timeout_ms == 2000));
  CHECK((d.most_sandboxes() == 3 && d.max_sandboxes_per_owner == 2));
  CHECK(all.images.aliases == StringMap{{"alpine:latest", "host"}, {"py", "/srv/py"}});
  CHECK(settings(R"({"defaults":{"max_ttl":"10m"}})").defaults.usual_ttl_ms() == 600'000);  // the library's default is more
}

TEST_CASE("settings: each bound") {
  at_the_limit("memory_mb", "16", "15");
  at_the_limit("memory_mb", "16777216", "16777217");
  at_the_limit("disk_mb", "1", "-1");
  at_the_limit("vcpus", "0.01", "0.009");
  at_the_limit("vcpus", "1024", "1024.001");
  at_the_limit("pids", "4", "3");
  at_the_limit("pids", "32768", "32769");
  at_the_limit("ttl", "\"1ms\"", "\"-1ms\"");
  at_the_limit("ttl", "\"24h\"", "\"24h0m0.001s\"");
  at_the_limit("max_ttl", "\"24h\"", "\"24h0m0.001s\"");
  at_the_limit("max_ttl", "\"1h\"", "3600");
  at_the_limit("default_exec_timeout", "\"24h\"", "\"25h\"");
  at_the_limit("max_exec_timeout", "\"24h\"", "\"-1s\"");
  at_the_limit("max_sandboxes", "10000", "10001");
  at_the_limit("max_sandboxes_per_owner", "10000", "-1");
  at_the_limit("image", "\"/srv/root\"", "\"./root\"");
  at_the_limit("image", '"' + std::string(kMaxImageBytes, 'i') + '"', '"' + std::string(kMaxImageBytes + 1, 'i') + '"');
  at_the_limit("provider", "\"native\"", "\"a/b\"");
  CHECK_NOTHROW(settings(aliases(kMaxAliases)));
  check_refused("images.aliases", [] { settings(aliases(kMaxAliases + 1)); });
  CHECK_NOTHROW(settings(alias(std::string(kMaxAliasBytes, 'a'), "/x")));
  check_refused("images.aliases", [] { settings(alias(std::string(kMaxAliasBytes + 1, 'a'), "/x")); });
  for (const auto& [name, target] : {std::pair{"/srv", "host"}, {"./a", "host"}, {"", "host"}, {"a", ""}, {"a", "./b"}, {"a", "../b"}})
    check_refused("images.aliases", [&] { settings(alias(name, target)); });
}

TEST_CASE("settings: a default may not be more than its maximum") {
  CHECK_NOTHROW(settings(R"({"defaults":{"ttl":"10m","max_ttl":"10m"}})"));
  check_refused("defaults.ttl", [] { settings(R"({"defaults":{"ttl":"10m1s","max_ttl":"10m"}})"); });
  CHECK_NOTHROW(settings(R"({"defaults":{"default_exec_timeout":"1m","max_exec_timeout":"1m"}})"));
  CHECK_NOTHROW(settings(R"({"defaults":{"default_exec_timeout":"1m"}})"));
  check_refused("defaults.default_exec_timeout", [] { settings(R"({"defaults":{"default_exec_timeout":"61s","max_exec_timeout":"1m"}})"); });
  CHECK_NOTHROW(settings(R"({"defaults":{"disk_mb":64,"memory_mb":64}})"));
  check_refused("defaults.disk_mb", [] { settings(R"({"defaults":{"disk_mb":65,"memory_mb":64}})"); });
}

TEST_CASE("settings: what nobody knows is refused, with its path") {
  check_refused("nonsense", [] { settings(R"({"nonsense":1})"); });
  check_refused("defaults.foo", [] { settings(R"({"defaults":{"foo":null}})"); });
  check_refused("defaults.TTL", [] { settings(R"({"defaults":{"TTL":"1m"}})"); });
  check_refused("images.pull", [] { settings(R"({"images":{"pull":true}})"); });
  check_refused("defaults.a?b", [] { settings("{\"defaults\":{\"a\\nb\":1}}"); });
  check_refused("defaults." + std::string(kAuditItemBytes, 'x') + "...", [] { settings("{\"defaults\":{\"" + std::string(kAuditItemBytes + 1, 'x') + "\":1}}"); });
  check_refused("defaults", [] { settings(R"({"defaults":[]})"); });
  check_refused("body", [] { settings("[]"); });
  check_refused("body", [] { settings("{"); });
  CHECK(schema<Settings>().find("\"additionalProperties\":false") != std::string::npos);
}
