// Many threads on one store. What this finds is mostly for the thread sanitizer to say.
#include <atomic>
#include <mutex>
#include <set>
#include <thread>

#include "support.hpp"

using namespace svm;
using namespace svm::store;
using namespace svm::store::test;
using model::State;

TEST_CASE("threads write and read at once") {
  const Directory directory;
  const auto store = open_sqlite(directory.path(), false);
  constexpr int kWriters = 4, kReaders = 8, kEach = 60;
  const Store::Reserve kReserve{kWriters * kEach, 0, true, 100'000, 100'000 + kWriters * kEach * kIdsPerRange};
  std::atomic<bool> stop{false};
  std::atomic<int> wrong{0}, reads{0};
  std::mutex mutex;
  std::set<uint32_t> bases;

  std::vector<std::thread> threads;
  for (int writer = 0; writer < kWriters; ++writer) {
    threads.emplace_back([&, writer] {
      try {
        for (int i = 0; i < kEach; ++i) {
          auto record = sandbox("sb-" + std::to_string(writer) + "-" + std::to_string(i));
          store->insert(record, kReserve);
          {
            const std::lock_guard lock(mutex);
            if (!bases.insert(record.id_base).second) ++wrong;
          }
          record.state = State::running;
          if (!store->update(record, State::creating)) ++wrong;
          // A reader sees what this thread has been told is written.
          const auto read = store->get(record.id);
          if (!read || read->state != State::running) ++wrong;
          std::vector<model::AuditRow> rows{audit_row(record.id), audit_row(record.id)};
          store->append_audit(rows, i % 20 == 0);
          if (rows[1].seq != rows[0].seq + 1) ++wrong;
        }
      } catch (const std::exception& error) {
        std::printf("writer: %s\n", error.what());
        ++wrong;
      }
    });
  }
  for (int reader = 0; reader < kReaders; ++reader) {
    threads.emplace_back([&] {
      try {
        do {
          if (store->list(50, "").size() > 50) ++wrong;
          if (store->live_count() > kWriters * kEach) ++wrong;
          if (store->audit(store->last_audit_seq() - 5, 5).size() > 5) ++wrong;
          ++reads;
        } while (!stop);
      } catch (const std::exception& error) {
        std::printf("reader: %s\n", error.what());
        ++wrong;
      }
    });
  }
  for (size_t i = 0; i < kWriters; ++i) threads[i].join();
  stop = true;
  for (size_t i = kWriters; i < threads.size(); ++i) threads[i].join();

  CHECK(wrong == 0);
  CHECK(reads >= kReaders);
  CHECK(store->live_count() == kWriters * kEach);
  CHECK(store->last_audit_seq() == 2 * kWriters * kEach);
  auto extra = sandbox("sb-extra");
  CHECK(code_of([&] { store->insert(extra, kReserve); }) == Code::limit);
}

TEST_CASE("of threads that move one row on, one succeeds") {
  const Directory directory;
  const auto store = open_sqlite(directory.path(), false);
  for (int round = 0; round < 20; ++round) {
    auto record = sandbox("sb-" + std::to_string(round));
    store->insert(record, kRoom);
    record.state = State::destroying;
    std::atomic<int> won{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&] {
        if (store->update(record, State::creating)) ++won;
      });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(won == 1);
  }
}
