#include "pool.hpp"

#include <doctest/doctest.h>
#include <pthread.h>
#include <signal.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

#include "core/error.hpp"

using svm::Code;
using svm::Error;
using svm::capi::kMaxQueuedJobs;
using svm::capi::Pool;

namespace {
constexpr size_t kMost = 64;

/// Holds jobs until it is opened.
struct Barrier {
  std::mutex mutex;
  std::condition_variable changed;
  bool open = false;
  size_t inside = 0, passed = 0;
  void enter() {
    std::unique_lock lock(mutex);
    ++inside;
    changed.notify_all();
    changed.wait(lock, [&] { return open; });
    --inside;
    ++passed;
    changed.notify_all();
  }
  template <class F>
  void wait(F&& f) {
    std::unique_lock lock(mutex);
    changed.wait(lock, f);
  }
  void release() {
    const std::lock_guard lock(mutex);
    open = true;
    changed.notify_all();
  }
};
}  // namespace

TEST_CASE("as many threads as jobs, up to the bound; the rest waits; one job too many is refused") {
  Pool pool{kMost};
  CHECK(pool.threads() == 0);
  Barrier barrier;
  for (size_t i = 0; i < kMost; ++i) pool.submit([&] { barrier.enter(); });
  barrier.wait([&] { return barrier.inside == kMost; });
  CHECK(pool.threads() == kMost);
  for (size_t i = 0; i < kMaxQueuedJobs; ++i) pool.submit([&] { barrier.enter(); });
  CHECK(pool.threads() == kMost);
  try {
    pool.submit([] {});
    FAIL("accepted");
  } catch (const Error& error) {
    CHECK(error.code() == Code::limit);
  }
  barrier.release();
  barrier.wait([&] { return barrier.passed == kMost + kMaxQueuedJobs; });
}

TEST_CASE("idle threads end, and new ones come when there is work again") {
  Pool pool{kMost, std::chrono::milliseconds(20)};
  for (int round = 0; round < 2; ++round) {
    std::atomic<bool> ran{false};
    pool.submit([&] { ran = true; });
    while (!ran || pool.threads() > 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    CHECK(ran);
  }
}

TEST_CASE("one job after the other needs few threads") {
  Pool pool{kMost};
  for (int i = 0; i < 20; ++i) {
    Barrier barrier;
    barrier.open = true;
    pool.submit([&] { barrier.enter(); });
    barrier.wait([&] { return barrier.passed == 1; });
    std::this_thread::sleep_for(std::chrono::milliseconds(5));  // until the thread is idle, mostly
  }
  CHECK(pool.threads() <= 10);
}

TEST_CASE("threads are named and block every signal; the caller's mask is as it was") {
  Pool pool{kMost};
  sigset_t before, after, inside;
  pthread_sigmask(SIG_SETMASK, nullptr, &before);
  char name[16] = {};
  Barrier barrier;
  barrier.open = true;
  pool.submit([&] {
    pthread_sigmask(SIG_SETMASK, nullptr, &inside);
    pthread_getname_np(pthread_self(), name, sizeof name);
    barrier.enter();
  });
  barrier.wait([&] { return barrier.passed == 1; });
  pthread_sigmask(SIG_SETMASK, nullptr, &after);
  CHECK(std::string(name) == "stacyvm-op");
  for (const int signal : {SIGINT, SIGTERM, SIGCHLD, SIGUSR1, SIGPIPE, SIGALRM}) {
    CHECK(sigismember(&inside, signal) == 1);
    CHECK(sigismember(&after, signal) == sigismember(&before, signal));
  }
}

TEST_CASE("stop drops what has not begun, waits for what has, and takes no more") {
  Pool pool{kMost};
  Barrier barrier;
  for (size_t i = 0; i < kMost; ++i) pool.submit([&] { barrier.enter(); });
  barrier.wait([&] { return barrier.inside == kMost; });
  std::atomic<bool> ran{false};
  const auto token = std::make_shared<int>(0);
  pool.submit([&, token] { ran = true; });
  std::thread stopper([&] { pool.stop(); });
  while (token.use_count() > 1) std::this_thread::yield();  // until the job that waits has been dropped
  barrier.release();
  stopper.join();
  CHECK(pool.threads() == 0);
  CHECK(token.use_count() == 1);
  CHECK_THROWS_AS(pool.submit([] {}), Error);
  pool.stop();
}
