// What a spawn pays for its record. Printed; the bound is generous because test machines are busy.
#include <algorithm>

#include "core/clock.hpp"
#include "support.hpp"

using namespace svm;
using namespace svm::store;
using namespace svm::store::test;
using model::State;

TEST_CASE("insertion, update and get are quick, also with a thousand live sandboxes") {
  const Directory directory;
  const auto store = open_sqlite(directory.path(), false);
  const Store::Reserve kReserve{10'000, 0, true, 100'000, 2'000'000'000};
  for (int i = 0; i < 1000; ++i) {
    auto record = sandbox("sb-live-" + std::to_string(i));
    record.metadata = {{"name", "value"}, {"other", "thing"}};
    store->insert(record, kReserve);
  }
  enum Act { insertion, update, get, destruction, audit, durable, acts };
  const char* const names[acts] = {"insert", "update", "get", "update to destroyed", "audit row", "audit row, fsync"};
  std::vector<int64_t> times[acts];
  for (int i = 0; i < 500; ++i) {
    const auto timed = [&](Act act, auto function) {
      const int64_t before = monotonic_us();
      function();
      times[act].push_back(monotonic_us() - before);
    };
    auto record = sandbox("sb-" + std::to_string(i));
    record.metadata = {{"name", "value"}, {"other", "thing"}};
    timed(insertion, [&] { store->insert(record, kReserve); });
    record.state = State::running;
    timed(update, [&] { REQUIRE(store->update(record, State::creating)); });
    timed(get, [&] { REQUIRE(store->get(record.id)); });
    record.state = State::destroyed;
    timed(destruction, [&] { REQUIRE(store->update(record, State::running)); });
    std::vector<model::AuditRow> rows{audit_row(record.id)};
    timed(audit, [&] { store->append_audit(rows, false); });
    if (i % 10 == 0) timed(durable, [&] { store->append_audit(rows, true); });
  }
  for (int act = 0; act < acts; ++act) {
    std::sort(times[act].begin(), times[act].end());
    const auto at = [&](size_t percent) { return times[act][(times[act].size() - 1) * percent / 100]; };
    std::printf("store: %-20s median %4lld us, p99 %5lld us\n", names[act], static_cast<long long>(at(50)), static_cast<long long>(at(99)));
    if (act < audit) CHECK(at(50) < 2000);
  }
}
