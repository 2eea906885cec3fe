// The audit log: order, durability, failure and recovery.
#include <doctest/doctest.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <fstream>
#include <mutex>
#include <thread>

#include "audit/log.hpp"
#include "core/clock.hpp"
#include "core/error.hpp"

using namespace svm;
using namespace svm::audit;
using model::AuditRow;

namespace {

/// A store of audit rows that can be made to fail, or to take its time.
class FakeStore final : public store::Store {
 public:
  const std::string& instance_id() const noexcept override { return id_; }
  void insert(model::SandboxRecord&, const Reserve&) override { throw Error(Code::unsupported, "not here"); }
  bool update(const model::SandboxRecord&, model::State) override { throw Error(Code::unsupported, "not here"); }
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

  void append_audit(std::vector<AuditRow>& rows, bool durable) override {
    std::unique_lock lock(mutex_);
    ++attempts;
    opened_.wait(lock, [this] { return !gate_closed_; });
    if (failing) throw Error(Code::limit, "disk full");
    if (!durable) all_durable = false;
    for (AuditRow& row : rows) {
      row.seq = ++last_;
      rows_.push_back(row);
    }
    if (unsyncable) throw Error(Code::io, "disk lost");
    ++commits;
  }
  std::vector<AuditRow> audit(int64_t after, uint32_t) const override {
    const std::lock_guard lock(mutex_);
    return {rows_.begin() + static_cast<ptrdiff_t>(after), rows_.end()};
  }
  void record(const std::vector<model::ExecRecord>&, std::vector<model::Event>&, int64_t) override { throw Error(Code::unsupported, "not here"); }
  std::vector<model::Event> events(int64_t, uint32_t) const override { return {}; }
  std::vector<model::ExecRecord> execs(const ExecQuery&) const override { return {}; }
  std::optional<model::ExecRecord> exec(std::string_view) const override { return std::nullopt; }
  EventRange event_range() const override { return {}; }
  int64_t last_audit_seq() const override {
    const std::lock_guard lock(mutex_);
    return last_;
  }

  void close_gate() {
    const std::lock_guard lock(mutex_);
    gate_closed_ = true;
  }
  void open_gate() {
    {
      const std::lock_guard lock(mutex_);
      gate_closed_ = false;
    }
    opened_.notify_all();
  }

  std::atomic<bool> unsyncable{false}, failing{false}, all_durable{true};
  std::atomic<int> attempts{0}, commits{0};

 private:
  std::string id_ = "fake";
  mutable std::mutex mutex_;
  std::condition_variable opened_;
  bool gate_closed_ = false;
  int64_t last_ = 0;
  std::vector<AuditRow> rows_;
};

AuditRow row(std::string object = "o") {
  AuditRow out;
  out.action = "sandbox.spawn";
  out.object = std::move(object);
  out.phase = "intent";
  return out;
}

template <class Function>
Code code_of(Function function) {
  try {
    function();
  } catch (const Error& error) {
    return error.code();
  }
  return Code::ok;
}

/// Whether the condition came true within ten seconds.
template <class Condition>
bool eventually(Condition condition) {
  for (int i = 0; i < 5000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return condition();
}

int threads_now() {
  std::ifstream in("/proc/self/status");
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("Threads:")) return std::stoi(line.substr(8));
  }
  return -1;
}

}  // namespace

TEST_CASE("strict: a row is in the store when append returns") {
  const auto store = store::open_sqlite_memory();
  const auto log = Log::create(*store, Durability::strict);
  const int64_t before = system_clock().wall_ms();
  for (int64_t i = 1; i <= 5; ++i) {
    CHECK(log->append(row(std::to_string(i))) == i);
    const auto rows = store->audit(i - 1, 10);
    REQUIRE(rows.size() == 1);
    CHECK(rows[0].seq == i);
    CHECK(rows[0].object == std::to_string(i));
    CHECK(rows[0].wall_ms >= before);
    CHECK(rows[0].wall_ms <= system_clock().wall_ms());
  }
}

TEST_CASE("interval: append does not wait, rows follow soon, flush waits") {
  FakeStore store;
  const auto log = Log::create(store, Durability::interval);
  store.close_gate();
  for (int64_t i = 1; i <= 100; ++i) CHECK(log->append(row()) == i);  // returns although the store does not
  CHECK(store.last_audit_seq() == 0);
  store.open_gate();
  CHECK(eventually([&] { return store.last_audit_seq() == 100; }));
  CHECK(store.commits <= 3);  // groups, not rows
  CHECK(store.all_durable);
  log->append(row());
  log->flush();
  CHECK(store.last_audit_seq() == 101);
  log->flush();  // nothing to do
}

TEST_CASE("a group of strict callers shares a commit") {
  FakeStore store;
  const auto log = Log::create(store, Durability::strict);
  store.close_gate();
  std::vector<std::thread> callers;
  std::atomic<int> returned{0};
  for (int i = 0; i < 20; ++i) {
    callers.emplace_back([&] {
      log->append(row());
      ++returned;
    });
  }
  CHECK(eventually([&] { return store.attempts == 1; }));
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  CHECK(returned == 0);
  store.open_gate();
  for (std::thread& caller : callers) caller.join();
  CHECK(store.last_audit_seq() == 20);
  CHECK(store.commits <= 20);
  CHECK(store.all_durable);
}

TEST_CASE("numbers are gapless and in call order from many threads") {
  const auto store = store::open_sqlite_memory();
  constexpr int kThreads = 8, kEach = 200;
  std::vector<std::vector<int64_t>> given(kThreads);
  {
    const auto log = Log::create(*store, Durability::interval);
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < kEach; ++i) given[static_cast<size_t>(t)].push_back(log->append(row(std::to_string(t) + "/" + std::to_string(i))));
      });
    }
    for (std::thread& thread : threads) thread.join();
  }  // destruction flushes
  const auto rows = store->audit(0, UINT32_MAX);
  REQUIRE(rows.size() == kThreads * kEach);
  for (size_t i = 0; i < rows.size(); ++i) REQUIRE(rows[i].seq == static_cast<int64_t>(i) + 1);
  for (int t = 0; t < kThreads; ++t) {
    for (int i = 0; i < kEach; ++i) {
      const int64_t seq = given[static_cast<size_t>(t)][static_cast<size_t>(i)];
      REQUIRE(rows[static_cast<size_t>(seq) - 1].object == std::to_string(t) + "/" + std::to_string(i));
    }
  }
}

TEST_CASE("numbering goes on after a reopen") {
  const auto store = store::open_sqlite_memory();
  CHECK(Log::create(*store, Durability::interval)->append(row()) == 1);
  CHECK(Log::create(*store, Durability::strict)->append(row()) == 2);
  const auto log = Log::create(*store, Durability::interval);
  CHECK(log->append(row()) == 3);
}

TEST_CASE("strict: a failing store refuses the act, loses nothing, and recovers by itself") {
  FakeStore store;
  const auto log = Log::create(store, Durability::strict);
  CHECK(log->append(row("first")) == 1);
  store.failing = true;
  CHECK(code_of([&] { log->append(row("second")); }) == Code::io);
  CHECK(code_of([&] { log->append(row("refused at once")); }) == Code::io);
  CHECK(code_of([&] { log->flush(); }) == Code::io);
  CHECK(store.last_audit_seq() == 1);
  store.failing = false;
  CHECK(eventually([&] { return store.last_audit_seq() == 2; }));  // what was tried is recorded
  CHECK(eventually([&] { return code_of([&] { log->append(row("third")); }) == Code::ok; }));
  const auto rows = store.audit(0, 10);
  REQUIRE(rows.size() == 3);
  CHECK(rows[1].object == "second");
  CHECK(rows[2].object == "third");
  CHECK(rows[2].seq == 3);
}

TEST_CASE("interval: after a failed write append refuses until a later write succeeds") {
  FakeStore store;
  store.failing = true;
  const auto log = Log::create(store, Durability::interval);
  CHECK(log->append(row("a")) == 1);  // nothing is known to be wrong yet
  CHECK(eventually([&] { return code_of([&] { log->append(row("b")); }) == Code::io; }));
  std::string message;
  try {
    log->append(row("c"));
  } catch (const Error& error) {
    message = error.message();
  }
  CHECK(message.find("disk full") != std::string::npos);
  store.failing = false;
  log->flush();  // tries at once
  const int64_t next = store.last_audit_seq() + 1;
  CHECK(log->append(row("d")) == next);
  log->flush();
  const auto rows = store.audit(0, 100);
  CHECK(rows.front().object == "a");
  CHECK(rows.back().object == "d");
  for (size_t i = 0; i < rows.size(); ++i) CHECK(rows[i].seq == static_cast<int64_t>(i) + 1);
}

TEST_CASE("retries of a failing store are spaced") {
  FakeStore store;
  store.failing = true;
  const auto log = Log::create(store, Durability::interval);
  log->append(row());
  std::this_thread::sleep_for(std::chrono::milliseconds(400));
  CHECK(store.attempts >= 2);
  CHECK(store.attempts <= 7);  // after 20, 40, 60, 100, 180, 340 ms
  store.failing = false;
}

TEST_CASE("a row of somebody else makes the log refuse, not lie") {
  FakeStore store;
  const auto log = Log::create(store, Durability::strict);
  CHECK(log->append(row()) == 1);
  std::vector<AuditRow> foreign{row("foreign")};
  store.append_audit(foreign, true);
  CHECK(code_of([&] { log->append(row()); }) == Code::io);
  CHECK(store.last_audit_seq() == 2);
}

TEST_CASE("rows that could not be synced are not written twice, and no later row is taken") {
  FakeStore store;
  const auto log = Log::create(store, Durability::strict);
  store.unsyncable = true;
  CHECK(code_of([&] { log->append(row()); }) == Code::io);
  store.unsyncable = false;  // the disk says that it is well again: what it lost is lost
  for (int i = 0; i < 3; ++i) {
    std::string message;
    try {
      log->append(row());
      FAIL("taken");
    } catch (const Error& error) {
      message = error.message();
    }
    CHECK(message.find("disk lost") != std::string::npos);
  }
  CHECK(store.last_audit_seq() == 1);
}

TEST_CASE("append waits for room at the bound and not one row before") {
  FakeStore store;
  const auto log = Log::create(store, Durability::interval);
  store.close_gate();
  for (size_t i = 0; i < kMaxPending; ++i) log->append(row());
  std::atomic<bool> returned{false};
  std::thread beyond([&] {
    CHECK(log->append(row()) == static_cast<int64_t>(kMaxPending) + 1);
    returned = true;
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  CHECK_FALSE(returned);
  store.open_gate();
  beyond.join();
  log->flush();
  CHECK(store.last_audit_seq() == static_cast<int64_t>(kMaxPending) + 1);
}

TEST_CASE("who waits for room is refused when the store fails") {
  FakeStore store;
  const auto log = Log::create(store, Durability::interval);
  store.close_gate();
  for (size_t i = 0; i < kMaxPending; ++i) log->append(row());
  std::thread beyond([&] { CHECK(code_of([&] { log->append(row()); }) == Code::io); });
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  store.failing = true;
  store.open_gate();
  beyond.join();
  store.failing = false;
  log->flush();
  CHECK(store.last_audit_seq() == static_cast<int64_t>(kMaxPending));
}

TEST_CASE("flush is told of rows that wait behind those that cannot be written") {
  FakeStore store;
  const auto log = Log::create(store, Durability::interval);
  store.close_gate();
  log->append(row());
  REQUIRE(eventually([&] { return store.attempts == 1; }));
  log->append(row());  // the first is being written
  store.failing = true;
  store.open_gate();
  CHECK(code_of([&] { log->flush(); }) == Code::io);
  store.failing = false;
  log->flush();
  CHECK(store.last_audit_seq() == 2);
}

TEST_CASE("destruction flushes, and ends when the store fails") {
  FakeStore store;
  {
    const auto log = Log::create(store, Durability::interval);
    for (int i = 0; i < 10; ++i) log->append(row());
  }
  CHECK(store.last_audit_seq() == 10);
  {
    const auto log = Log::create(store, Durability::interval);
    log->append(row());
    store.failing = true;
  }
  CHECK(store.last_audit_seq() == 10);
}

TEST_CASE("a detail is cut at its bound, at a character") {
  const auto store = store::open_sqlite_memory();
  const auto log = Log::create(*store, Durability::strict);
  const auto stored = [&](std::string detail) {
    AuditRow out = row();
    out.detail = std::move(detail);
    const int64_t seq = log->append(std::move(out));
    return store->audit(seq - 1, 1).at(0).detail;
  };
  const std::string full(kMaxDetailBytes, 'x');
  CHECK(stored("") == "");
  CHECK(stored(full) == full);
  CHECK(stored(full + "y") == std::string(kMaxDetailBytes - 3, 'x') + "...");
  // A character of 2, 3 or 4 bytes across the cut goes as a whole; one that ends at the cut stays.
  for (const std::string character : {"\xc3\xbc", "\xe2\x82\xac", "\xf0\x9f\x98\x80"}) {
    for (size_t before = 1; before <= character.size(); ++before) {
      const std::string start(kMaxDetailBytes - 3 - before, 'x');
      const std::string tail(100, 'y');
      CHECK(stored(start + character + tail) == start + (before == character.size() ? character : "") + "...");
    }
  }
  const std::string not_utf8(kMaxDetailBytes + 1, '\x80');
  CHECK(stored(not_utf8) == not_utf8.substr(0, kMaxDetailBytes - 3) + "...");
  CHECK(stored("a\r\nb\x1b[0m") == "a\r\nb\x1b[0m");  // evidence: escaped by exporters
}

namespace {
std::atomic<pthread_t> g_handled_by{};
}

TEST_CASE("the writer thread starts with the first row and handles no signal of the application") {
  FakeStore store;
  const int before = threads_now();
  const auto log = Log::create(store, Durability::interval);
  CHECK(threads_now() == before);
  sigset_t mask_before, mask_after;
  pthread_sigmask(SIG_SETMASK, nullptr, &mask_before);
  log->append(row());
  CHECK(threads_now() == before + 1);
  pthread_sigmask(SIG_SETMASK, nullptr, &mask_after);
  for (int signal = 1; signal < NSIG; ++signal) CHECK(sigismember(&mask_before, signal) == sigismember(&mask_after, signal));

  // A process-directed signal that this thread blocks would be handled by any other thread that does not.
  struct sigaction act {}, old {};
  act.sa_handler = [](int) { g_handled_by = pthread_self(); };
  REQUIRE(sigaction(SIGUSR1, &act, &old) == 0);
  sigset_t usr1;
  sigemptyset(&usr1);
  sigaddset(&usr1, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &usr1, nullptr);
  kill(getpid(), SIGUSR1);
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  CHECK(g_handled_by.load() == pthread_t{});
  pthread_sigmask(SIG_UNBLOCK, &usr1, nullptr);
  CHECK(g_handled_by.load() == pthread_self());
  sigaction(SIGUSR1, &old, nullptr);
}
