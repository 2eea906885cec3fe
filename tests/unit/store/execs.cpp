// The history of commands: written twice, once each; bounded; gone with its sandbox.
#include "model/limits.hpp"
#include "support.hpp"

using namespace svm;
using namespace svm::store;
using namespace svm::store::test;
using model::ExecRecord, model::State;
using Query = Store::ExecQuery;

namespace {

ExecRecord started(std::string id, std::string sandbox, std::string tenant = "") {
  ExecRecord exec;
  exec.id = std::move(id);
  exec.sandbox_id = std::move(sandbox);
  exec.tenant_id = std::move(tenant);
  exec.command = "sleep 1";
  exec.user = "root";
  exec.workdir = "/w\xff";
  exec.shell = exec.background = true;
  exec.started_ms = 5;
  return exec;
}

ExecRecord ended(ExecRecord exec, std::string reason = "exited") {
  exec.ended_ms = 9;
  exec.reason = std::move(reason);
  exec.exit_code = 3;
  exec.signal = 4;
  exec.wall_us = 5;
  exec.cpu_us = 6;
  exec.memory_peak = 1ULL << 63;
  exec.out_bytes = 7;
  exec.err_bytes = 8;
  exec.error = "e";
  return exec;
}

void add(Store& store, std::string id) {
  auto record = sandbox(std::move(id));
  store.insert(record, kRoom);
}

void write(Store& store, const std::vector<ExecRecord>& execs) {
  std::vector<model::Event> none;
  store.record(execs, none, 0);
}

std::string ids(const std::vector<ExecRecord>& execs) {
  std::string text;
  for (const ExecRecord& exec : execs) text += exec.id + ' ';
  return text;
}

}  // namespace

TEST_CASE("execs: a start and an end make one row, with everything that was said") {
  const Directory directory;
  const auto store = open_sqlite(directory.path(), false);
  add(*store, "sb-a");
  const ExecRecord start = started("ex-1", "sb-a", "t");
  write(*store, {start});
  CHECK(store->exec("ex-1")->ended_ms == 0);
  CHECK(store->exec("ex-1")->reason.empty());
  write(*store, {ended(start)});
  const ExecRecord read = *store->exec("ex-1");
  CHECK((read.sandbox_id == "sb-a" && read.tenant_id == "t" && read.command == "sleep 1" && read.user == "root" && read.workdir == "/w\xff"));
  CHECK((read.shell && !read.pty && read.background && read.started_ms == 5 && read.ended_ms == 9 && read.reason == "exited"));
  CHECK((read.exit_code == 3 && read.signal == 4 && read.wall_us == 5 && read.cpu_us == 6 && read.memory_peak == 1ULL << 63));
  CHECK((read.out_bytes == 7 && read.err_bytes == 8 && read.error == "e"));
  // The first end counts.
  write(*store, {ended(start, "cancelled")});
  CHECK(store->exec("ex-1")->reason == "exited");
  CHECK_FALSE(store->exec("ex-2"));
}

TEST_CASE("execs: newest first, by sandbox, tenant and state, page by page") {
  const auto store = open_sqlite_memory();
  add(*store, "sb-a");
  add(*store, "sb-b");
  write(*store, {started("ex-1", "sb-a", "t"), started("ex-2", "sb-b", "u"), ended(started("ex-3", "sb-a", "t")), started("ex-4", "sb-a", "t"), started("ex-5", "sb-none")});
  CHECK(ids(store->execs({.limit = 10})) == "ex-4 ex-3 ex-2 ex-1 ");  // ex-5 has no sandbox
  CHECK(ids(store->execs({.limit = 2})) == "ex-4 ex-3 ");
  CHECK(ids(store->execs({.after = "ex-3", .limit = 10})) == "ex-2 ex-1 ");
  CHECK(ids(store->execs({.sandbox = "sb-a", .limit = 10})) == "ex-4 ex-3 ex-1 ");
  CHECK(ids(store->execs({.sandbox = "sb-a", .tenant = "u", .limit = 10})).empty());
  CHECK(ids(store->execs({.tenant = "u", .limit = 10})) == "ex-2 ");
  CHECK(ids(store->execs({.state = Store::ExecState::running, .limit = 10})) == "ex-4 ex-2 ex-1 ");
  CHECK(ids(store->execs({.sandbox = "sb-a", .state = Store::ExecState::ended, .limit = 10})) == "ex-3 ");
  CHECK(fact_of("field", [&] { store->execs({.after = "ex-9", .limit = 1}); }) == "after");
}

TEST_CASE("execs: they are written with the events that tell of them; the events get their ids") {
  const auto store = open_sqlite_memory();
  add(*store, "sb-a");
  std::vector<model::Event> events = {{0, 1, "exec.started", "sb-a", "", ""}, {0, 1, "exec.completed", "sb-a", "", ""}}, none;
  store->record({started("ex-1", "sb-a")}, events, 0);
  CHECK((events[0].id == 1 && events[1].id == 2));
  CHECK(store->exec("ex-1"));
  store->record({ended(started("ex-1", "sb-a"))}, none, 0);
  store->record({}, none, 0);
  CHECK(store->exec("ex-1")->ended_ms == 9);
  CHECK(store->event_range().last == 2);
}

TEST_CASE("execs: what still runs in a sandbox that ended, ends with it") {
  const auto store = open_sqlite_memory();
  add(*store, "sb-a");
  add(*store, "sb-b");
  ExecRecord all;
  all.sandbox_id = "sb-a";
  all.ended_ms = 77;
  all.reason = "lost";
  write(*store, {started("ex-1", "sb-a"), ended(started("ex-2", "sb-a")), started("ex-3", "sb-b"), all});
  CHECK(store->exec("ex-1")->reason == "lost");
  CHECK(store->exec("ex-1")->ended_ms == 77);
  CHECK(store->exec("ex-2")->reason == "exited");
  CHECK(store->exec("ex-3")->ended_ms == 0);
}

TEST_CASE("execs: of a sandbox the newest stay, and those that run") {
  const auto store = open_sqlite_memory();
  add(*store, "sb-a");
  write(*store, {started("ex-first", "sb-a")});
  std::vector<ExecRecord> many;
  for (uint32_t i = 0; i < model::kMaxExecHistory; ++i) many.push_back(ended(started("ex-" + std::to_string(i), "sb-a")));
  write(*store, many);
  CHECK(store->execs({.limit = 10'000}).size() == model::kMaxExecHistory + 1);
  CHECK(store->exec("ex-0"));
  write(*store, {ended(started("ex-more", "sb-a"))});
  CHECK_FALSE(store->exec("ex-0"));
  CHECK(store->exec("ex-1"));
  CHECK(store->exec("ex-first"));  // it runs
  CHECK(store->execs({.limit = 10'000}).size() == model::kMaxExecHistory + 1);
}

TEST_CASE("execs: history goes with the record of its sandbox, and stays with one that is kept") {
  const auto store = open_sqlite_memory();
  for (const std::string id : {"sb-a", "sb-kept"}) {
    auto record = sandbox(id);
    store->insert(record, kRoom);
    write(*store, {ended(started("ex-" + id, id))});
    record.state = State::destroyed;
    record.destroyed_ms = 10;
    record.keep_until_ms = id == "sb-kept" ? 100 : 0;
    REQUIRE(store->update(record, State::creating));
  }
  CHECK(store->prune({11, 50}) == 1);
  CHECK_FALSE(store->exec("ex-sb-a"));
  CHECK(store->exec("ex-sb-kept"));
  CHECK(store->prune({11, 100}) == 1);
  CHECK_FALSE(store->exec("ex-sb-kept"));
}
