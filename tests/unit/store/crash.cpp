// SIGKILL at any instant: what was acknowledged is there, the file is sound.
#include <signal.h>
#include <sys/wait.h>

#include <ctime>
#include <map>

#include "core/fd.hpp"
#include "store/sqlite/open.hpp"
#include "support.hpp"

using namespace svm;
using namespace svm::store;
using namespace svm::store::test;
using model::State;

namespace {

const Store::Reserve kReserve{100'000, 0, true, 100'000, 2'000'000'000};

/// What the writer reports once a call has returned.
struct Acknowledged {
  enum Kind : int32_t { inserted, destroyed, audited } kind;
  int32_t number;
};

/// Inserts, destroys and audits until it is killed, and acknowledges each over the pipe.
[[noreturn]] void write_for_ever(const std::string& path, int round, int pipe) {
  const auto store = open_sqlite(path, false);
  const auto tell = [&](Acknowledged::Kind kind, int32_t number) {
    const Acknowledged done{kind, number};
    if (write_all(pipe, &done, sizeof done) != 0) _exit(1);
  };
  for (int32_t i = 0;; ++i) {
    auto record = sandbox("sb-" + std::to_string(round) + "-" + std::to_string(i));
    store->insert(record, kReserve);
    tell(Acknowledged::inserted, i);
    if (i % 3 != 0) {
      record.state = State::destroyed;
      if (!store->update(record, State::creating)) _exit(1);
      tell(Acknowledged::destroyed, i);
    }
    std::vector<model::AuditRow> rows{audit_row(record.id)};
    store->append_audit(rows, i % 16 == 0);
    tell(Acknowledged::audited, static_cast<int32_t>(rows[0].seq));
  }
}

}  // namespace

TEST_CASE("fifty kills lose no acknowledged row") {
  const Directory directory;
  std::map<std::string, State> expected;
  int64_t audited = 0;
  int acknowledged = 0;
  std::srand(20'240'601);
  for (int round = 0; round < 50; ++round) {
    Fd from, to;
    REQUIRE(make_pipe(from, to) == 0);
    std::fflush(nullptr);  // or a child's exit may print it again
    const pid_t writer = fork();
    REQUIRE(writer >= 0);
    if (writer == 0) {
      try {
        write_for_ever(directory.path(), round, to.get());
      } catch (const std::exception& error) {
        std::fprintf(stderr, "writer: %s\n", error.what());
        _exit(1);
      }
    }
    to.reset();
    // Some rounds are cut short by the clock, anywhere from before the database exists; the others after so many acknowledged
    // calls and a moment, so that the test does as much on a slow machine.
    const bool early = round % 5 == 0;
    const int wanted = early ? 0 : 1 + std::rand() % 150;
    Acknowledged done{};
    const auto next = [&] {
      if (read_all(from.get(), &done, sizeof done) != static_cast<long>(sizeof done)) return false;
      const std::string id = "sb-" + std::to_string(round) + "-" + std::to_string(done.number);
      if (done.kind == Acknowledged::audited) audited = done.number;
      else expected[id] = done.kind == Acknowledged::inserted ? State::creating : State::destroyed;
      return true;
    };
    for (int i = 0; i < wanted; ++i) REQUIRE(next());
    acknowledged += wanted;
    const timespec moment{0, std::rand() % (early ? 20'000'000 : 400'000)};
    nanosleep(&moment, nullptr);
    kill(writer, SIGKILL);
    while (next()) ++acknowledged;
    int status = 0;
    REQUIRE(waitpid(writer, &status, 0) == writer);
    REQUIRE(WIFSIGNALED(status));

    {
      const auto opened = open_database(directory.path(), false, schema_steps());
      CHECK(opened.connection->pragma_text("integrity_check") == "ok");
    }
    const auto store = open_sqlite(directory.path(), false);
    for (const auto& [id, state] : expected) {
      const auto row = store->get(id);
      REQUIRE_MESSAGE(row, id);
      // The call after the last acknowledged one may or may not have happened.
      const bool possible = row->state == state || row->state == State::destroyed;
      REQUIRE(possible);
    }
    REQUIRE(store->last_audit_seq() >= audited);
    const auto rows = store->audit(0, UINT32_MAX);
    REQUIRE(static_cast<int64_t>(rows.size()) == store->last_audit_seq());  // no gap
    REQUIRE(store->live_count() == store->list(UINT32_MAX, "").size());
    // The next round begins with nothing live, so that ranges are given again.
    for (auto row : store->list(UINT32_MAX, "")) {
      row.state = State::destroyed;
      REQUIRE(store->update(row, State::creating));
      expected[row.id] = State::destroyed;
    }
  }
  CHECK(acknowledged > 1500);  // the writers did write
  MESSAGE(acknowledged, " acknowledged calls survived 50 kills");
}
