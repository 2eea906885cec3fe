// Events from append to reader: ids, replay and live, filters, gaps, a store that refuses.
#include "events/log.hpp"

#include <doctest/doctest.h>
#include <stdlib.h>

#include <atomic>
#include <filesystem>
#include <functional>
#include <future>
#include <thread>

#include "core/clock.hpp"
#include "core/error.hpp"
#include "events/event.hpp"

using namespace svm;
using namespace svm::events;
using channel::Piece;
using Next = channel::Stream::Next;

namespace {

class Directory {
 public:
  Directory() {
    char name[] = "/tmp/svm-events-XXXXXX";
    if (!mkdtemp(name)) throw errno_error(errno, "mkdtemp");
    path = name;
  }
  ~Directory() { std::filesystem::remove_all(path); }
  std::string path;
};

struct Rig {
  std::unique_ptr<store::Store> store = store::open_sqlite_memory();
  std::unique_ptr<events::Log> log = events::Log::create(*store, false, {});
  void add(const std::string& type, const std::string& sandbox = "", const std::string& tenant = "") { log->append(type, sandbox, tenant, ""); }
};

/// The ids that are there now.
std::vector<int64_t> drain(channel::Stream& stream) {
  std::vector<int64_t> ids;
  Piece piece;
  while (stream.next(0, piece) == Next::piece) ids.push_back(piece.position);
  return ids;
}
using Ids = std::vector<int64_t>;

Code code_of(const std::function<void()>& act) {
  try {
    act();
  } catch (const Error& error) {
    return error.code();
  }
  return Code::ok;
}

/// Puts events into the table from behind, `count` at once.
void fill(store::Store& store, size_t count, int64_t wall_ms, int64_t oldest_ms = 0) {
  std::vector<model::Event> events(count, model::Event{0, wall_ms, "file.read", "", "", ""});
  store.record({}, events, oldest_ms);
}

}  // namespace

TEST_CASE("events: what was there is replayed, what comes follows, in order and once") {
  Rig rig;
  for (int i = 0; i < 100; ++i) rig.add("file.read");  // more than a page
  rig.log->flush();
  const auto all = rig.log->follow({}, 0), rest = rig.log->follow({}, 98), fresh = rig.log->follow({}, -1);
  Ids hundred(100);
  for (size_t i = 0; i < 100; ++i) hundred[i] = static_cast<int64_t>(i) + 1;
  CHECK(drain(*all) == hundred);
  CHECK(drain(*rest) == Ids{99, 100});
  CHECK(drain(*fresh).empty());
  CHECK_FALSE(fresh->readable());
  rig.add("file.written", "sb-a");
  Piece piece;
  REQUIRE(fresh->next(5000, piece) == Next::piece);
  CHECK(piece.kind == protocol::DataKind::event);
  CHECK(piece.position == 101);
  CHECK(piece.data.starts_with(R"({"id":"evt-101","type":"file.written","sandbox_id":"sb-a","timestamp":)"));
  CHECK(drain(*all) == Ids{101});
  CHECK(drain(*rest) == Ids{101});
}

TEST_CASE("events: a reader that asks for what cannot be yet is told") {
  Rig rig;
  CHECK(code_of([&] { rig.log->follow({}, 1); }) == Code::invalid);
  rig.add("file.read");
  rig.log->flush();
  CHECK(code_of([&] { rig.log->follow({}, 1); }) == Code::ok);
  CHECK(code_of([&] { rig.log->follow({}, 2); }) == Code::invalid);
}

TEST_CASE("events: a filter's types, sandbox and tenant all count; readable is true only for what passes") {
  Rig rig;
  const auto reader = [&](Filter filter) { return rig.log->follow(std::move(filter), 0); };
  const auto read = reader({{"file.read"}, "", ""}), a = reader({{}, "sb-a", ""}), t = reader({{}, "", "t"}), both = reader({{"file.read", "file.written"}, "sb-a", "t"});
  rig.add("file.read", "sb-b", "u");     // 1
  rig.add("file.written", "sb-a", "t");  // 2
  rig.add("file.read", "sb-a", "u");     // 3
  rig.add("exec.started", "sb-a", "t");  // 4
  rig.log->flush();
  CHECK(drain(*read) == Ids{1, 3});
  CHECK(drain(*a) == Ids{2, 3, 4});
  CHECK(drain(*t) == Ids{2, 4});
  CHECK(drain(*both) == Ids{2});
  rig.add("exec.started", "sb-b", "u");
  rig.log->flush();
  for (const auto& stream : {read, a, t, both}) CHECK_FALSE(stream->readable());
}

TEST_CASE("events: the hook is called when there is something, and the waiting reader wakes") {
  Rig rig;
  const auto stream = rig.log->follow({}, -1);
  std::promise<void> told;
  std::atomic<bool> once = false;
  stream->set_notify([&] {
    if (!once.exchange(true)) told.set_value();
  });
  Piece piece;
  std::thread waits([&] { CHECK(stream->next(-1, piece) == Next::piece); });
  rig.add("file.read");
  CHECK(told.get_future().wait_for(std::chrono::seconds(5)) == std::future_status::ready);
  waits.join();
  stream->set_notify({});
}

TEST_CASE("events: cancel and the end of the log end a stream, once and for all") {
  Rig rig;
  rig.add("file.read");
  rig.log->flush();
  const auto cancelled = rig.log->follow({}, 0), closed = rig.log->follow({}, -1);
  CHECK(cancelled->result() == nullptr);
  cancelled->cancel();
  Piece piece;
  for (int i = 0; i < 2; ++i) {
    CHECK(cancelled->next(-1, piece) == Next::end);
    REQUIRE(cancelled->result());
    CHECK(cancelled->result()->code == Code::cancelled);
  }
  std::thread waits([&] { CHECK(closed->next(-1, piece) == Next::end); });
  rig.log.reset();
  waits.join();
  CHECK(closed->result()->code == Code::closed);
  rig.store.reset();  // the stream does not need it any more
  CHECK(closed->readable());
  CHECK(closed->next(0, piece) == Next::end);
}

TEST_CASE("events: where events are gone a gap says so, at the beginning and in the middle") {
  Rig rig;
  const auto slow = rig.log->follow({}, 0);
  rig.add("file.read");
  rig.log->flush();
  Piece piece;
  REQUIRE(slow->next(0, piece) == Next::piece);
  // Fill the table from behind until it has forgotten.
  const size_t more = static_cast<size_t>(store::Store::kMemoryEvents) * 12 / 10;
  fill(*rig.store, more, system_clock().wall_ms());
  const auto range = rig.store->event_range();
  REQUIRE(range.first > 2);
  rig.log = events::Log::create(*rig.store, false, {});
  const auto late = rig.log->follow({{"exec.started"}, "", "other"}, 0);  // a filter hides events, not that there are none
  REQUIRE(late->next(0, piece) == Next::piece);
  CHECK(piece.position == range.first - 1);
  CHECK(piece.data.find(R"("type":"events.gap")") != piece.data.npos);
  CHECK(piece.data.find("\"first_id\":" + std::to_string(range.first)) != piece.data.npos);
  CHECK(late->next(0, piece) == Next::again);
  const auto exact = rig.log->follow({}, range.first - 1);
  REQUIRE(exact->next(0, piece) == Next::piece);
  CHECK(piece.position == range.first);
  const auto one_less = rig.log->follow({}, range.first - 2);
  REQUIRE(one_less->next(0, piece) == Next::piece);
  CHECK(piece.position == range.first - 1);
  REQUIRE(one_less->next(0, piece) == Next::piece);
  CHECK(piece.position == range.first);
}

TEST_CASE("events: when all are forgotten a reader is told from where on there will be some") {
  Rig rig;
  fill(*rig.store, 1, 5);
  rig.log = events::Log::create(*rig.store, false, {});
  const auto reader = rig.log->follow({}, 0);
  // The next look for old ones is a tenth of the limit later; all of these are older than what is kept.
  fill(*rig.store, static_cast<size_t>(store::Store::kMemoryEvents) / 10, 5, 100);
  CHECK(rig.store->event_range().first == rig.store->event_range().last + 1);
  Piece piece;
  REQUIRE(reader->next(0, piece) == Next::piece);
  CHECK(piece.data.find("events.gap") != piece.data.npos);
  CHECK(piece.position == rig.store->event_range().last);
  CHECK(reader->next(0, piece) == Next::again);
  rig.add("file.read");
  rig.log->flush();
  REQUIRE(reader->next(0, piece) == Next::piece);
  CHECK(piece.position == rig.store->event_range().last);
}

TEST_CASE("events: ids go on after a reopen, also when none are left, and those that were stored are there") {
  const Directory directory;
  {
    const auto store = store::open_sqlite(directory.path + "/s", false);
    const auto log = events::Log::create(*store, false, {});
    log->append("file.read", "sb-a", "", "");
    log->append("file.written", "sb-a", "", "");
  }  // the log stores what it has
  {
    const auto store = store::open_sqlite(directory.path + "/s", false);
    CHECK(store->event_range().last == 2);
    CHECK(store->events(0, 10).size() == 2);
    fill(*store, 1, 5, INT64_MAX);  // everything is too old
    CHECK(store->event_range().last == 3);
    CHECK(store->event_range().first == 4);
    CHECK(store->events(0, 10).empty());
  }
  const auto store = store::open_sqlite(directory.path + "/s", false);
  CHECK(store->event_range().last == 3);
  const auto log = events::Log::create(*store, false, {});
  log->append("file.read", "", "", "");
  log->flush();
  CHECK(store->events(0, 10).front().id == 4);
}

TEST_CASE("events: many threads append and many read: everybody gets everything in one order") {
  Rig rig;
  constexpr int kWriters = 4, kEach = 500;
  std::vector<std::thread> threads;
  std::vector<Ids> seen(3);
  for (Ids& ids : seen)
    threads.emplace_back([&rig, &ids, stream = rig.log->follow({}, 0)] {
      Piece piece;
      while (ids.size() < kWriters * kEach && stream->next(10'000, piece) == Next::piece) ids.push_back(piece.position);
    });
  for (int i = 0; i < kWriters; ++i)
    threads.emplace_back([&rig] {
      for (int n = 0; n < kEach; ++n) rig.add("file.read");
    });
  for (std::thread& thread : threads) thread.join();
  for (const Ids& ids : seen) {
    REQUIRE(ids.size() == kWriters * kEach);
    for (size_t i = 0; i < ids.size(); ++i) REQUIRE(ids[i] == static_cast<int64_t>(i) + 1);
  }
}

namespace {
/// Refuses events while told to.
class Refusing final : public store::Store {
 public:
  explicit Refusing(bool held_refuses) : held_refuses_(held_refuses) {}
  const std::string& instance_id() const noexcept override { return id_; }
  void insert(model::SandboxRecord&, const Reserve&) override {}
  bool update(const model::SandboxRecord&, model::State) override { return false; }
  std::optional<model::SandboxRecord> get(std::string_view) const override { return std::nullopt; }
  std::optional<model::SandboxRecord> get_named(std::string_view, std::string_view) const override { return std::nullopt; }
  std::optional<Key> get_key(std::string_view, std::string_view, int64_t) const override { return std::nullopt; }
  std::vector<model::SandboxRecord> list(uint32_t, std::string_view) const override { return {}; }
  uint32_t live_count() const override { return 0; }
  uint32_t live_count_of(std::string_view, std::string_view) const override { return 0; }
  bool insert_template(const model::TemplateRecord&) override { return false; }
  bool update_template(const model::TemplateRecord&) override { return false; }
  bool remove_template(std::string_view, std::string_view) override { return false; }
  std::optional<model::TemplateRecord> get_template(std::string_view, std::string_view) const override { return std::nullopt; }
  std::vector<model::TemplateRecord> templates(std::string_view) const override { return {}; }
  uint32_t prune(const Prune&) override { return 0; }
  void free_key(std::string_view) override {}
  void append_audit(std::vector<model::AuditRow>&, bool) override {}
  std::vector<model::AuditRow> audit(int64_t, uint32_t) const override { return {}; }
  int64_t last_audit_seq() const override { return 0; }
  void record(const std::vector<model::ExecRecord>& execs, std::vector<model::Event>& events, int64_t oldest_ms) override {
    if (refuses_now()) throw Error(Code::limit, "disk full");
    below_->record({}, events, oldest_ms);
    written.push_back(execs);
  }
  std::vector<model::Event> events(int64_t after, uint32_t limit) const override { return below_->events(after, limit); }
  std::vector<model::ExecRecord> execs(const ExecQuery&) const override { return {}; }
  std::optional<model::ExecRecord> exec(std::string_view) const override { return std::nullopt; }
  EventRange event_range() const override { return below_->event_range(); }

  std::vector<std::vector<model::ExecRecord>> written;  // the writer's, until flush() has returned
  std::atomic<bool> refuses = true;
  // The next attempt after `hold` is set says that it is inside, waits for `go`, and then fails or not.
  std::atomic<bool> hold = false;
  std::promise<void> inside, go;

 private:
  bool refuses_now() {
    if (!hold.exchange(false)) return refuses;
    inside.set_value();
    go.get_future().wait();
    return held_refuses_;
  }

  const bool held_refuses_;
  const std::string id_ = "x";
  const std::unique_ptr<store::Store> below_ = store::open_sqlite_memory();
};
}  // namespace

TEST_CASE("events: while the store refuses they wait, in order; what finds no room is counted and told") {
  Refusing store(true);
  const auto log = events::Log::create(store, false, {});
  const auto reader = log->follow({}, 0);
  constexpr size_t kTooMany = 7;
  for (size_t i = 0; i < kMaxPending; ++i) log->append("file.read", std::to_string(i), "", "");
  log->flush();  // an attempt was made and failed
  store.hold = true;
  store.inside.get_future().wait();
  for (size_t i = 0; i < kTooMany; ++i) log->append("file.written", "", "", "");
  CHECK_FALSE(reader->readable());
  store.refuses = false;
  store.go.set_value();
  log->flush();
  const Ids ids = drain(*reader);
  CHECK(ids.size() == kMaxPending + 1);
  // One more than a store in memory keeps: the first one is gone, and that is told too.
  CHECK(ids.front() == 1);
  const auto first = store.events(0, 1).front(), last = store.events(static_cast<int64_t>(kMaxPending), 1).front();
  CHECK(first.id == 2);
  CHECK(first.sandbox_id == "1");
  CHECK(last.type == "events.lost");
  CHECK(last.data == "{\"count\":" + std::to_string(kTooMany) + "}");
}

TEST_CASE("events: what was lost while all others were being stored is told, too") {
  Refusing store(false);
  const auto log = events::Log::create(store, false, {});
  for (size_t i = 0; i < kMaxPending; ++i) log->append("file.read", "", "", "");
  log->flush();  // refused: all wait together
  store.hold = true;
  store.inside.get_future().wait();
  log->append("file.written", "", "", "");
  store.refuses = false;
  store.go.set_value();
  log->flush();
  int64_t lost = 0;
  for (const auto& event : store.events(0, 2 * kMaxPending))
    if (event.type == "events.lost") ++lost;
  CHECK(lost == 1);
}

TEST_CASE("events: commands that end before their start is written are written once, at the place of their start") {
  Refusing store(true);
  store.hold = true;
  const auto log = events::Log::create(store, false, {});
  log->append("file.read", "", "", "");
  store.inside.get_future().wait();  // what comes now waits together
  const auto record = [&](std::string id, int64_t ended_ms, std::string reason = "") {
    model::ExecRecord exec;
    exec.id = std::move(id);
    exec.sandbox_id = "sb-a";
    exec.ended_ms = ended_ms;
    exec.reason = std::move(reason);
    log->record(std::move(exec));
  };
  record("ex-1", 0);
  record("ex-2", 0);
  record("ex-3", 0);
  record("ex-2", 5, "exited");
  record("ex-2", 6, "cancelled");
  record("ex-4", 7, "exited");  // whose start was written long ago
  record("ex-5", 0);
  record("", 8, "lost");  // the sandbox's end, which ends those that were started before it
  record("ex-3", 9, "exited");
  record("ex-6", 0);
  record("ex-6", 10, "exited");
  store.refuses = false;
  store.go.set_value();  // and fails: they are tried again
  log->flush();
  std::string all;
  for (const auto& group : store.written)
    for (const model::ExecRecord& exec : group) all += exec.id + ' ' + std::to_string(exec.ended_ms) + ' ' + exec.reason + '\n';
  CHECK(all == "ex-1 0 \nex-2 5 exited\nex-3 0 \nex-2 6 cancelled\nex-4 7 exited\nex-5 0 \n 8 lost\nex-3 9 exited\nex-6 10 exited\n");
}

TEST_CASE("events: a read-only log replays and takes nothing") {
  const Directory directory;
  {
    const auto store = store::open_sqlite(directory.path + "/s", false);
    events::Log::create(*store, false, {})->append("file.read", "", "", "");
  }
  const auto store = store::open_sqlite(directory.path + "/s", true);
  const auto log = events::Log::create(*store, true, {});
  log->append("file.read", "", "", "");
  log->flush();
  CHECK(drain(*log->follow({}, 0)) == Ids{1});
}
