#include <algorithm>
#include <chrono>
#include <map>
#include <thread>

#include "bench.hpp"

using namespace fakes;

namespace {
struct QueueBench : Bench {
  stacyvm_queue* q = nullptr;
  QueueBench() { MUST(stacyvm_queue_new(vm, &q, err)); }
  ~QueueBench() { stacyvm_queue_close(q); }
  /// The tags that are ready now, in order.
  std::vector<uint64_t> wait(uint32_t cap = 64, int64_t timeout_ms = 0) {
    std::vector<stacyvm_ready> ready(cap);
    uint32_t n = 0;
    const int32_t code = stacyvm_queue_wait(q, timeout_ms, ready.data(), cap, &n, nullptr);
    std::vector<uint64_t> tags;
    if (code == STACYVM_E_AGAIN) return tags;
    REQUIRE(code == STACYVM_OK);
    REQUIRE((n > 0 && n <= cap));
    for (uint32_t i = 0; i < n; ++i) tags.push_back(ready[i].tag);
    return tags;
  }
};
using Tags = std::vector<uint64_t>;
}  // namespace

TEST_CASE("a queue is level-triggered, and so is its descriptor") {
  QueueBench b;
  const int fd = stacyvm_queue_fd(b.q);
  stacyvm_stream* st = b.exec();
  MUST(stacyvm_queue_add_stream(b.q, st, STACYVM_READY_READ, 5, err));
  CHECK(!readable(fd));
  CHECK(b.wait().empty());
  b.world->last()->out("a");
  for (int i = 0; i < 2; ++i) {
    CHECK(readable(fd));
    CHECK(b.wait() == Tags{5});
  }
  next(st);
  CHECK(!readable(fd));
  CHECK(b.wait().empty());
  b.world->last()->exit(0);
  next(st);
  next(st, STACYVM_E_END);
  CHECK(b.wait() == Tags{5});
  stacyvm_stream_close(st);
  CHECK(!readable(fd));
  CHECK(b.wait().empty());
}

TEST_CASE("interest and tag can change; nought removes") {
  QueueBench b;
  stacyvm_stream* st = b.exec(STACYVM_EXEC_STDIN);
  stacyvm_ready ready{};
  uint32_t n = 0;
  MUST(stacyvm_queue_add_stream(b.q, st, STACYVM_READY_READ | STACYVM_READY_WRITE, 1, err));
  REQUIRE(stacyvm_queue_wait(b.q, 0, &ready, 1, &n, nullptr) == STACYVM_OK);
  CHECK((ready.tag == 1 && ready.ready == STACYVM_READY_WRITE && ready.code == 0));
  b.world->last()->out("a");
  REQUIRE(stacyvm_queue_wait(b.q, 0, &ready, 1, &n, nullptr) == STACYVM_OK);
  CHECK(ready.ready == (STACYVM_READY_WRITE | STACYVM_READY_READ));
  next(st);
  MUST(stacyvm_queue_add_stream(b.q, st, STACYVM_READY_READ, 2, err));
  CHECK(b.wait().empty());
  b.world->last()->out("a");
  CHECK(b.wait() == Tags{2});
  MUST(stacyvm_queue_add_stream(b.q, st, 0, 0, err));
  CHECK(b.wait().empty());
  MUST(stacyvm_queue_add_stream(b.q, st, STACYVM_READY_READ, 3, err));
  CHECK(b.wait() == Tags{3});
  CHECK(stacyvm_queue_add_stream(b.q, st, 8, 3, nullptr) == STACYVM_E_INVALID);
  CHECK(stacyvm_queue_add_stream(b.q, st, STACYVM_READY_DONE, 3, nullptr) == STACYVM_E_INVALID);
  stacyvm_queue* second = nullptr;
  MUST(stacyvm_queue_new(b.vm, &second, err));
  CHECK(stacyvm_queue_add_stream(second, st, STACYVM_READY_READ, 3, nullptr) == STACYVM_E_CONFLICT);
  stacyvm_queue_close(b.q);
  MUST(stacyvm_queue_add_stream(second, st, STACYVM_READY_READ, 4, err));
  b.q = second;
  CHECK(b.wait() == Tags{4});
  stacyvm_stream_close(st);
}

TEST_CASE("a stream of another instance, and a stream without input, are refused") {
  QueueBench b;
  Bench other;
  stacyvm_stream* st = other.exec();
  CHECK(stacyvm_queue_add_stream(b.q, st, STACYVM_READY_READ, 1, nullptr) == STACYVM_E_INVALID);
  stacyvm_stream_close(st);
  st = b.exec();
  CHECK(stacyvm_queue_add_stream(b.q, st, STACYVM_READY_WRITE, 1, nullptr) == STACYVM_E_INVALID);
  stacyvm_stream_close(st);
}

TEST_CASE("with little room every ready member has its turn") {
  QueueBench b;
  std::vector<stacyvm_stream*> streams;
  for (uint64_t i = 0; i < 5; ++i) {
    streams.push_back(b.exec());
    MUST(stacyvm_queue_add_stream(b.q, streams.back(), STACYVM_READY_READ, i, err));
    b.world->last()->out("x");
  }
  CHECK(b.wait(2) == Tags{0, 1});
  CHECK(b.wait(2) == Tags{2, 3});
  CHECK(b.wait(2) == Tags{4, 0});
  CHECK(b.wait(64).size() == 5);
  for (auto* st : streams) stacyvm_stream_close(st);
}

TEST_CASE("waiting costs what is ready, not what is there") {
  QueueBench b;
  constexpr uint64_t kMany = 4000;
  std::vector<stacyvm_stream*> streams;
  for (uint64_t i = 0; i < kMany; ++i) {
    streams.push_back(b.exec());
    MUST(stacyvm_queue_add_stream(b.q, streams.back(), STACYVM_READY_READ, i, err));
  }
  const auto agents = b.world->streams;
  const auto rounds = [&](size_t members) {
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < 2000; ++i) {
      const size_t at = static_cast<size_t>(i) % members;
      agents[at]->out("x");
      REQUIRE(b.wait() == Tags{at});
      next(streams[at]);
    }
    return std::chrono::steady_clock::now() - start;
  };
  rounds(2);
  const auto few = std::min({rounds(2), rounds(2), rounds(2)}), many = std::min({rounds(kMany), rounds(kMany), rounds(kMany)});
  CHECK(many < few * 20);  // a scan of all would be some hundred times as slow
  for (auto* st : streams) stacyvm_stream_close(st);
}

TEST_CASE("a waiting thread is woken by an event and by the instance's close, and waits no longer than told") {
  auto world = std::make_shared<World>();
  stacyvm_instance* vm = open_fake(world);
  stacyvm_queue* q = nullptr;
  MUST(stacyvm_queue_new(vm, &q, err));
  const int fd = stacyvm_queue_fd(q);
  stacyvm_ready ready{};
  uint32_t n = 7;
  const auto start = std::chrono::steady_clock::now();
  CHECK(stacyvm_queue_wait(q, 20, &ready, 1, &n, nullptr) == STACYVM_E_AGAIN);
  CHECK(std::chrono::steady_clock::now() - start >= std::chrono::milliseconds(20));
  CHECK(n == 7);
  std::thread waiter([&] { CHECK(stacyvm_queue_wait(q, -1, &ready, 1, &n, nullptr) == STACYVM_E_CLOSED); });
  stacyvm_close(vm);
  waiter.join();
  CHECK(readable(fd));
  stacyvm_queue_close(q);
}

TEST_CASE("50 commands and 10 spawns, one thread, one descriptor") {
  QueueBench b;
  b.world->answer_at_once = true;
  std::map<uint64_t, stacyvm_stream*> streams;
  std::map<uint64_t, stacyvm_op*> ops;
  std::map<uint64_t, std::string> output;
  for (uint64_t i = 0; i < 50; ++i) {
    streams[i] = b.exec(0, ("echo " + std::to_string(i)).c_str());
    MUST(stacyvm_queue_add_stream(b.q, streams[i], STACYVM_READY_READ, i, err));
  }
  for (uint64_t i = 100; i < 110; ++i) {
    MUST(stacyvm_spawn_begin(b.session, nullptr, &ops[i], err));
    MUST(stacyvm_queue_add_op(b.q, ops[i], i, err));
  }
  const int fd = stacyvm_queue_fd(b.q);
  size_t spawned = 0;
  while (!streams.empty() || !ops.empty()) {
    pollfd p{fd, POLLIN, 0};
    REQUIRE(poll(&p, 1, 10'000) == 1);
    stacyvm_ready ready[7];
    uint32_t n = 0;
    REQUIRE(stacyvm_queue_wait(b.q, 0, ready, 7, &n, nullptr) == STACYVM_OK);
    for (uint32_t i = 0; i < n; ++i) {
      const uint64_t tag = ready[i].tag;
      if (tag >= 100) {
        CHECK((ready[i].ready == STACYVM_READY_DONE && ready[i].code == STACYVM_OK));
        stacyvm_sandbox* sb = nullptr;
        MUST(stacyvm_op_sandbox(ops[tag], &sb, err));
        stacyvm_sandbox_close(sb);
        stacyvm_op_close(ops[tag]);
        ops.erase(tag);
        ++spawned;
        continue;
      }
      stacyvm_chunk c;
      STACYVM_INIT(&c);
      const int32_t code = stacyvm_stream_next(streams[tag], 0, &c, nullptr);
      if (code == STACYVM_E_END) {
        stacyvm_stream_close(streams[tag]);
        streams.erase(tag);
      } else {
        REQUIRE(code == STACYVM_OK);
        output[tag] += text(c);
      }
    }
  }
  CHECK(spawned == 10);
  CHECK(b.world->live() == 11);
  for (uint64_t i = 0; i < 50; ++i) CHECK(output[i] == "echo " + std::to_string(i));
}

TEST_CASE("members come and go while agents write and another thread waits") {
  QueueBench b;
  std::atomic<bool> stop{false};
  std::atomic<int> seen{0};
  std::thread waiter([&] {
    stacyvm_ready ready[4];
    uint32_t n = 0;
    while (!stop)
      if (stacyvm_queue_wait(b.q, 1, ready, 4, &n, nullptr) == STACYVM_OK) seen += static_cast<int>(n);
  });
  for (int i = 0; i < 300; ++i) {
    stacyvm_stream* st = b.exec();
    const auto agent = b.world->last();
    std::thread writer([&] {
      for (int k = 0; k < 3; ++k) agent->out("x");
      agent->exit(0);
    });
    MUST(stacyvm_queue_add_stream(b.q, st, STACYVM_READY_READ, 1, err));
    if (i % 3) next(st, STACYVM_OK, -1);
    stacyvm_stream_close(st);
    writer.join();
  }
  b.wait();
  stop = true;
  waiter.join();
  CHECK(b.wait().empty());
}
