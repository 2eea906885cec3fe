// Sandbox rows: reservation, replacement, listing, retention. Every case runs on a file and in memory.
#include <climits>
#include <functional>
#include <set>

#include "support.hpp"

using namespace svm;
using namespace svm::store;
using namespace svm::store::test;
using model::SandboxRecord;
using model::State;

namespace {

/// Runs the body with each kind of store.
void with_stores(const std::function<void(Store&)>& body) {
  SUBCASE("file") {
    const Directory directory;
    const auto store = open_sqlite(directory.path(), false);
    body(*store);
  }
  SUBCASE("memory") {
    const auto store = open_sqlite_memory();
    body(*store);
  }
}

std::vector<std::string> ids(const std::vector<SandboxRecord>& rows) {
  std::vector<std::string> out;
  for (const SandboxRecord& row : rows) out.push_back(row.id);
  return out;
}

void check_equal(const SandboxRecord& a, const SandboxRecord& b) {
  CHECK(a.id == b.id);
  CHECK(a.state == b.state);
  CHECK(a.provider == b.provider);
  CHECK(a.image == b.image);
  CHECK(a.memory_bytes == b.memory_bytes);
  CHECK(a.disk_bytes == b.disk_bytes);
  CHECK(a.milli_cpus == b.milli_cpus);
  CHECK(a.pids == b.pids);
  CHECK(a.profile == b.profile);
  CHECK(a.user == b.user);
  CHECK(a.network == b.network);
  CHECK(a.owner_id == b.owner_id);
  CHECK(a.tenant_id == b.tenant_id);
  CHECK(a.metadata == b.metadata);
  CHECK(a.id_base == b.id_base);
  CHECK(a.created_ms == b.created_ms);
  CHECK(a.expires_ms == b.expires_ms);
  CHECK(a.destroyed_ms == b.destroyed_ms);
  CHECK(a.enforced == b.enforced);
  CHECK(a.unenforced == b.unenforced);
  CHECK(a.reason == b.reason);
}

SandboxRecord full_record() {
  SandboxRecord record = sandbox("sb-full");
  record.provider = "p";
  record.image = "docker.io/library/alpine:3.19";
  record.memory_bytes = UINT64_MAX;
  record.disk_bytes = static_cast<uint64_t>(INT64_MAX) + 1;
  record.milli_cpus = UINT32_MAX;
  record.pids = UINT32_MAX - 1;
  record.profile = "build";
  record.user = "root";
  record.network = "other";
  record.owner_id = "owner";
  record.tenant_id = "tenant";
  record.metadata = {{"", "empty key"}, {"b", ""}, {std::string("nul\0key", 7), "\xff\xfe not UTF-8"}};
  record.created_ms = INT64_MAX;
  record.expires_ms = INT64_MIN;
  record.destroyed_ms = -1;
  record.enforced = {"memory", "", "pids"};
  record.unenforced = {"cpu: no cgroup controller"};
  record.reason = "line one\nline two; '); DROP TABLE sandboxes; --";
  return record;
}

}  // namespace

TEST_CASE("a record comes back as it was written") {
  with_stores([](Store& store) {
    SandboxRecord record = full_record();
    record.state = State::running;  // insertion decides
    store.insert(record, kRoom);
    CHECK(record.state == State::creating);
    CHECK(record.id_base == 0);
    const auto read = store.get("sb-full");
    REQUIRE(read);
    check_equal(*read, record);
    CHECK_FALSE(store.get("sb-none"));
    CHECK_FALSE(store.get(""));
    CHECK_FALSE(store.get("SB-FULL"));
  });
}

TEST_CASE("update replaces a row in the expected state and no other") {
  with_stores([](Store& store) {
    SandboxRecord record = sandbox("sb-a");
    store.insert(record, {10, 0, true, 200'000, 500'000});
    const uint32_t base = record.id_base;

    SandboxRecord next = full_record();
    next.id = "sb-a";
    next.state = State::running;
    next.id_base = 7;  // fixed at insertion, like created_ms
    CHECK_FALSE(store.update(next, State::running));
    check_equal(*store.get("sb-a"), record);
    CHECK(store.update(next, State::creating));
    next.id_base = base;
    next.created_ms = record.created_ms;
    check_equal(*store.get("sb-a"), next);
    CHECK_FALSE(store.update(next, State::creating));

    SandboxRecord absent = sandbox("sb-b");
    absent.state = State::running;
    CHECK_FALSE(store.update(absent, State::creating));
    CHECK_FALSE(store.get("sb-b"));
  });
}

TEST_CASE("an id exists once") {
  with_stores([](Store& store) {
    SandboxRecord record = sandbox("sb-a");
    store.insert(record, kRoom);
    SandboxRecord again = sandbox("sb-a");
    again.image = "other";
    again.state = State::error;
    CHECK(code_of([&] { store.insert(again, kRoom); }) == Code::conflict);
    CHECK(again.state == State::error);  // a failure leaves the caller's record alone
    CHECK(store.get("sb-a")->image == "host");
    CHECK(store.live_count() == 1);
    // Also after it was destroyed: rows are kept.
    record.state = State::destroyed;
    REQUIRE(store.update(record, State::creating));
    CHECK(code_of([&] { store.insert(again, kRoom); }) == Code::conflict);
    CHECK(store.live_count() == 0);
  });
}

TEST_CASE("the number of live sandboxes is limited") {
  with_stores([](Store& store) {
    const Store::Reserve three{3, 0, false, 0, 0};
    std::vector<SandboxRecord> records;
    for (const char* id : {"sb-1", "sb-2", "sb-3"}) {
      records.push_back(sandbox(id));
      store.insert(records.back(), three);
    }
    SandboxRecord extra = sandbox("sb-4");
    CHECK(code_of([&] { store.insert(extra, three); }) == Code::limit);
    CHECK(fact_of("field", [&] { store.insert(extra, three); }) == "max_sandboxes");
    CHECK(fact_of("limit", [&] { store.insert(extra, three); }) == "3");
    CHECK_FALSE(store.get("sb-4"));
    CHECK(code_of([&] { store.insert(extra, Store::Reserve{0, 0, false, 0, 0}); }) == Code::limit);

    // running and destroying still count; destroyed and error do not.
    records[0].state = State::running;
    REQUIRE(store.update(records[0], State::creating));
    records[0].state = State::destroying;
    REQUIRE(store.update(records[0], State::running));
    CHECK(code_of([&] { store.insert(extra, three); }) == Code::limit);
    records[0].state = State::destroyed;
    REQUIRE(store.update(records[0], State::destroying));
    CHECK(store.live_count() == 2);
    store.insert(extra, three);
    CHECK(store.live_count() == 3);
    records[1].state = State::error;
    REQUIRE(store.update(records[1], State::creating));
    SandboxRecord fifth = sandbox("sb-5");
    store.insert(fifth, three);
    CHECK(store.live_count() == 3);
    // Back from error to live counts again.
    records[1].state = State::destroying;
    REQUIRE(store.update(records[1], State::error));
    CHECK(store.live_count() == 4);
    SandboxRecord sixth = sandbox("sb-6");
    CHECK(code_of([&] { store.insert(sixth, three); }) == Code::limit);
  });
}

TEST_CASE("each live sandbox has the lowest free id range") {
  with_stores([](Store& store) {
    constexpr uint32_t kFirst = 131'072;
    const Store::Reserve reserve{100, 0, true, kFirst, kFirst + 4 * kIdsPerRange};
    std::vector<SandboxRecord> records;
    for (int i = 0; i < 4; ++i) {
      records.push_back(sandbox("sb-" + std::to_string(i)));
      store.insert(records.back(), reserve);
      CHECK(records.back().id_base == kFirst + static_cast<uint32_t>(i) * kIdsPerRange);
    }
    SandboxRecord extra = sandbox("sb-extra");
    CHECK(code_of([&] { store.insert(extra, reserve); }) == Code::limit);
    CHECK(fact_of("field", [&] { store.insert(extra, reserve); }) == "id_ranges");
    CHECK_FALSE(store.get("sb-extra"));

    for (const size_t index : {2U, 1U}) {
      records[index].state = State::destroyed;
      REQUIRE(store.update(records[index], State::creating));
    }
    store.insert(extra, reserve);
    CHECK(extra.id_base == records[1].id_base);
    SandboxRecord next = sandbox("sb-next");
    store.insert(next, reserve);
    CHECK(next.id_base == records[2].id_base);
    SandboxRecord none = sandbox("sb-none");
    CHECK(code_of([&] { store.insert(none, reserve); }) == Code::limit);
    // One without a range needs none.
    store.insert(none, {100, 0, false, 0, 0});
    CHECK(none.id_base == 0);
  });
}

TEST_CASE("a range that somebody else has is passed over, and found again when it is free") {
  with_stores([](Store& store) {
    constexpr uint32_t kFirst = 131'072;
    const auto range = [](uint32_t number) { return kFirst + number * kIdsPerRange; };
    std::set<uint32_t> foreign{range(0), range(2)};
    std::vector<uint32_t> asked;
    const Store::Reserve reserve{100, 0, true, kFirst, range(4), [&](uint32_t base) {
                                   asked.push_back(base);
                                   return !foreign.contains(base);
                                 }};
    SandboxRecord a = sandbox("sb-a"), b = sandbox("sb-b"), c = sandbox("sb-c");
    store.insert(a, reserve);
    CHECK(a.id_base == range(1));
    store.insert(b, reserve);
    CHECK(b.id_base == range(3));
    CHECK(asked == std::vector{range(0), range(1), range(2), range(3)});  // what its own rows have is not asked for
    CHECK(code_of([&] { store.insert(c, reserve); }) == Code::limit);
    CHECK(c.id_base == 0);
    foreign.erase(range(0));
    store.insert(c, reserve);
    CHECK(c.id_base == range(0));
  });
}

TEST_CASE("an insertion that fails tells which range it had claimed") {
  with_stores([](Store& store) {
    std::vector<uint32_t> claimed;
    const Store::Reserve reserve{100, 0, true, 131'072, 131'072 + 4 * kIdsPerRange, [&](uint32_t base) {
                                   claimed.push_back(base);
                                   return true;
                                 }};
    SandboxRecord a = sandbox("sb-a"), again = sandbox("sb-a");
    store.insert(a, reserve);
    CHECK(code_of([&] { store.insert(again, reserve); }) == Code::conflict);
    REQUIRE(claimed.size() == 2);
    CHECK(again.id_base == claimed[1]);
  });
}

TEST_CASE("id ranges do not overlap when the configured space moves") {
  with_stores([](Store& store) {
    SandboxRecord a = sandbox("sb-a"), b = sandbox("sb-b"), c = sandbox("sb-c"), d = sandbox("sb-d");
    store.insert(a, {100, 0, true, 100'000, 4'000'000});
    CHECK(a.id_base == 100'000);
    // Begins in the middle of a's range.
    store.insert(b, {100, 0, true, 131'072, 4'000'000});
    CHECK(b.id_base == 165'536);
    store.insert(c, {100, 0, true, 34'465, 4'000'000});  // would end one beyond the first id of a
    CHECK(c.id_base == 231'072);
    store.insert(d, {100, 0, true, 34'464, 4'000'000});  // fits exactly below it
    CHECK(d.id_base == 34'464);
  });
}

TEST_CASE("a range fits at the end of the space and not one id beyond") {
  with_stores([](Store& store) {
    SandboxRecord a = sandbox("sb-a"), b = sandbox("sb-b"), c = sandbox("sb-c");
    CHECK(code_of([&] { store.insert(a, {100, 0, true, 1000, 1000 + kIdsPerRange - 1}); }) == Code::limit);
    store.insert(a, {100, 0, true, 1000, 1000 + kIdsPerRange});
    CHECK(a.id_base == 1000);
    CHECK(code_of([&] { store.insert(b, {100, 0, true, UINT32_MAX - kIdsPerRange + 1, UINT32_MAX}); }) == Code::limit);
    store.insert(b, {100, 0, true, UINT32_MAX - kIdsPerRange, UINT32_MAX});
    CHECK(b.id_base == UINT32_MAX - kIdsPerRange);
    CHECK(code_of([&] { store.insert(c, {100, 0, true, UINT32_MAX - kIdsPerRange, UINT32_MAX}); }) == Code::limit);
  });
}

TEST_CASE("random churn never gives a range twice, and always the lowest") {
  with_stores([](Store& store) {
    constexpr uint32_t kFirst = 1'000'000, kRanges = 12;
    const Store::Reserve reserve{100, 0, true, kFirst, kFirst + kRanges * kIdsPerRange};
    std::vector<SandboxRecord> live;
    std::set<uint32_t> taken;
    uint32_t random = 12345;
    for (int i = 0; i < 400; ++i) {
      random = random * 1'664'525 + 1'013'904'223;
      if (live.size() < kRanges && (live.empty() || random >> 31 != 0)) {
        SandboxRecord record = sandbox("sb-" + std::to_string(i));
        store.insert(record, reserve);
        uint32_t expected = kFirst;
        while (taken.contains(expected)) expected += kIdsPerRange;
        REQUIRE(record.id_base == expected);
        taken.insert(record.id_base);
        live.push_back(record);
      } else {
        const size_t index = (random >> 8) % live.size();
        live[index].state = State::destroyed;
        REQUIRE(store.update(live[index], State::creating));
        taken.erase(live[index].id_base);
        live.erase(live.begin() + static_cast<ptrdiff_t>(index));
      }
      REQUIRE(store.live_count() == live.size());
    }
  });
}

TEST_CASE("list gives live sandboxes, newest first, in pages") {
  with_stores([](Store& store) {
    CHECK(store.list(10, "").empty());
    std::vector<SandboxRecord> records;
    for (int i = 0; i < 6; ++i) {
      records.push_back(sandbox("sb-" + std::to_string(i)));
      records.back().created_ms = 1000 - i;  // the clock may go back: order is that of insertion
      store.insert(records.back(), kRoom);
    }
    records[4].state = State::destroyed;
    REQUIRE(store.update(records[4], State::creating));
    records[1].state = State::error;
    REQUIRE(store.update(records[1], State::creating));
    records[2].state = State::running;
    REQUIRE(store.update(records[2], State::creating));

    using Ids = std::vector<std::string>;
    CHECK(ids(store.list(100, "")) == Ids{"sb-5", "sb-3", "sb-2", "sb-0"});
    CHECK(ids(store.list(4, "")) == Ids{"sb-5", "sb-3", "sb-2", "sb-0"});
    CHECK(ids(store.list(3, "")) == Ids{"sb-5", "sb-3", "sb-2"});
    CHECK(ids(store.list(3, "sb-2")) == Ids{"sb-0"});
    CHECK(ids(store.list(2, "sb-4")) == Ids{"sb-3", "sb-2"});  // a page may end at a sandbox destroyed since
    CHECK(store.list(3, "sb-0").empty());
    CHECK(ids(store.list(UINT32_MAX, "")).size() == 4);
    CHECK(store.list(1, "").front().state == State::creating);
    CHECK(code_of([&] { store.list(0, ""); }) == Code::invalid);
    CHECK(code_of([&] { store.list(1, "sb-none"); }) == Code::invalid);
    CHECK(fact_of("field", [&] { store.list(1, "sb-none"); }) == "after");
  });
}

TEST_CASE("prune removes rows of what ended or failed before the time, and no others") {
  with_stores([](Store& store) {
    for (int i = 0; i < 5; ++i) {
      SandboxRecord record = sandbox("sb-" + std::to_string(i));
      store.insert(record, kRoom);
      if (i == 4) continue;  // live
      record.state = i == 3 ? State::error : State::destroyed;
      record.destroyed_ms = 100 * (i + 1);
      REQUIRE(store.update(record, State::creating));
    }
    CHECK(store.prune({100, 0}) == 0);
    CHECK(store.prune({101, 0}) == 1);
    CHECK_FALSE(store.get("sb-0"));
    CHECK(store.get("sb-1"));
    CHECK(store.prune({400, 0}) == 2);
    CHECK(store.get("sb-3"));
    CHECK(store.prune({401, 0}) == 1);
    CHECK_FALSE(store.get("sb-3"));
    CHECK(store.get("sb-4"));
    CHECK(store.prune({INT64_MAX, 0}) == 0);
    CHECK(store.live_count() == 1);
  });
}

TEST_CASE("prune leaves what is kept, what a key stands for, and other tenants' rows") {
  with_stores([](Store& store) {
    const auto ended = [&](std::string id, std::string tenant, int64_t keep_until, std::string key = "") {
      SandboxRecord record = sandbox(std::move(id));
      record.tenant_id = std::move(tenant);
      Store::Reserve reserve = kRoom;
      reserve.key = std::move(key);
      reserve.key_expires_ms = 500;
      store.insert(record, reserve);
      record.state = State::running;
      REQUIRE(store.update(record, State::creating));
      record.state = State::destroyed;
      record.destroyed_ms = 100;
      record.keep_until_ms = keep_until;
      REQUIRE(store.update(record, State::running));
    };
    ended("sb-plain", "a", 0);
    ended("sb-kept", "a", 1000);
    ended("sb-key", "a", 0, "k");
    ended("sb-other", "b", 0);
    CHECK(store.prune({101, 499, "a"}) == 1);
    CHECK_FALSE(store.get("sb-plain"));
    CHECK(store.get_key("a", "k", 499));
    CHECK_FALSE(store.get_key("a", "k", 500));
    CHECK_FALSE(store.get_key("b", "k", 0));
    CHECK(store.prune({101, 500, "a"}) == 1);  // the key's time is over
    CHECK_FALSE(store.get("sb-key"));
    CHECK(store.prune({101, 999, "a"}) == 0);
    CHECK(store.prune({101, 1000, "a"}) == 1);
    CHECK_FALSE(store.get("sb-kept"));
    CHECK(store.prune({101, 1000, ""}) == 1);
    CHECK_FALSE(store.get("sb-other"));
  });
}

TEST_CASE("a name is one live sandbox's of its tenant") {
  with_stores([](Store& store) {
    const auto named = [](std::string id, std::string tenant) {
      SandboxRecord record = sandbox(std::move(id));
      record.name = "n";
      record.tenant_id = std::move(tenant);
      record.timeout_ms = 7;
      record.spec = std::string("\0s", 2);
      return record;
    };
    SandboxRecord a = named("sb-a", "t"), again = named("sb-b", "t"), other = named("sb-c", "u");
    store.insert(a, kRoom);
    CHECK(fact_of("field", [&] { store.insert(again, kRoom); }) == "name");
    CHECK(code_of([&] { store.insert(again, kRoom); }) == Code::conflict);
    store.insert(other, kRoom);
    CHECK(store.live_count() == 2);
    CHECK(store.get_named("t", "n")->id == "sb-a");
    CHECK(store.get_named("t", "n")->timeout_ms == 7);
    CHECK(store.get_named("t", "n")->spec == a.spec);
    CHECK(store.get_named("u", "n")->id == "sb-c");
    CHECK_FALSE(store.get_named("t", ""));
    a.state = State::destroyed;
    REQUIRE(store.update(a, State::creating));
    CHECK_FALSE(store.get_named("t", "n"));
    store.insert(again, kRoom);
    CHECK(store.get_named("t", "n")->id == "sb-b");
  });
}

TEST_CASE("a key stands for a sandbox until its time is over, or until the sandbox failed to start") {
  with_stores([](Store& store) {
    Store::Reserve reserve = kRoom;
    reserve.key = "k";
    reserve.request = std::string("\0r", 2);
    reserve.now_ms = 10;
    reserve.key_expires_ms = 20;
    SandboxRecord a = sandbox("sb-a"), b = sandbox("sb-b"), c = sandbox("sb-c");
    store.insert(a, reserve);
    CHECK(store.get_key("", "k", 19)->sandbox == "sb-a");
    CHECK(store.get_key("", "k", 19)->request == reserve.request);
    CHECK(fact_of("field", [&] { store.insert(b, reserve); }) == "idempotency_key");
    CHECK_FALSE(store.get("sb-b"));  // the row and the key are one transaction
    reserve.now_ms = 20;
    reserve.key_expires_ms = 40;
    store.insert(b, reserve);
    CHECK(store.get_key("", "k", 21)->sandbox == "sb-b");
    b.state = State::error;
    REQUIRE(store.update(b, State::creating));
    CHECK_FALSE(store.get_key("", "k", 21));
    store.insert(c, reserve);
    c.state = State::running;
    REQUIRE(store.update(c, State::creating));
    c.state = State::destroyed;
    REQUIRE(store.update(c, State::running));
    CHECK(store.get_key("", "k", 21)->sandbox == "sb-c");  // it did run
    store.free_key("sb-none");
    CHECK(store.get_key("", "k", 21));
    store.free_key("sb-c");
    CHECK_FALSE(store.get_key("", "k", 21));
  });
}

TEST_CASE("prune takes at most its limit in one call") {
  const auto store = open_sqlite_memory();
  for (uint32_t i = 0; i <= Store::kMaxPrune; ++i) {
    SandboxRecord record = sandbox("sb-" + std::to_string(i));
    store->insert(record, kRoom);
    record.state = State::destroyed;
    record.destroyed_ms = i;
    REQUIRE(store->update(record, State::creating));
  }
  CHECK(store->prune({INT64_MAX, 0}) == Store::kMaxPrune);
  CHECK(store->get("sb-" + std::to_string(Store::kMaxPrune)));  // the youngest stays for the next call
  CHECK(store->prune({INT64_MAX, 0}) == 1);
}

TEST_CASE("what was counted in memory is found again after a reopen") {
  const Directory directory;
  const Store::Reserve kReserve{3, 0, true, 100'000, 100'000 + 8 * kIdsPerRange};
  SandboxRecord a = sandbox("sb-a"), b = sandbox("sb-b"), c = sandbox("sb-c"), d = sandbox("sb-d");
  std::string instance;
  {
    const auto store = open_sqlite(directory.path(), false);
    instance = store->instance_id();
    CHECK(is_random_id("", instance));
    store->insert(a, kReserve);
    store->insert(b, kReserve);
    a.state = State::destroyed;
    REQUIRE(store->update(a, State::creating));
  }
  const auto store = open_sqlite(directory.path(), false);
  CHECK(store->instance_id() == instance);
  CHECK(store->live_count() == 1);
  store->insert(c, kReserve);
  CHECK(c.id_base == 100'000);
  store->insert(d, kReserve);
  CHECK(d.id_base == 100'000 + 2 * kIdsPerRange);
  SandboxRecord e = sandbox("sb-e");
  CHECK(code_of([&] { store->insert(e, kReserve); }) == Code::limit);
  const Directory other;
  CHECK(open_sqlite(other.path(), false)->instance_id() != instance);
}
