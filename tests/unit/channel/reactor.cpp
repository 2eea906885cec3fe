#include "channel/reactor.hpp"

#include <doctest/doctest.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/clock.hpp"
#include "peer.hpp"

using namespace svm;
using namespace svm::channel;
using namespace svm::channel::test;

TEST_CASE("posted work runs in order, on the reactor's thread") {
  Reactor reactor;
  CHECK_FALSE(reactor.on_thread());
  std::vector<int> order;
  bool on_thread = true;
  for (int i = 0; i < 1000; ++i)
    REQUIRE(reactor.post([&, i] {
      order.push_back(i);
      on_thread = on_thread && reactor.on_thread();
    }));
  reactor.stop();  // runs what was posted before
  REQUIRE(order.size() == 1000);
  CHECK(std::is_sorted(order.begin(), order.end()));
  CHECK(on_thread);
  CHECK_FALSE(reactor.post([] {}));
  CHECK(reactor.at(0, [] {}) == 0);
  CHECK(code_of([&] { reactor.watch(0, EPOLLIN, [](uint32_t) {}); }) == Code::closed);
  reactor.stop();
}

TEST_CASE("work may post work") {
  Reactor reactor;
  std::promise<void> done;
  std::function<void(int)> step = [&](int left) {
    if (left == 0) return done.set_value();
    reactor.post([&, left] { step(left - 1); });
  };
  reactor.post([&] { step(100); });
  CHECK(done.get_future().wait_for(std::chrono::seconds(kPatience)) == std::future_status::ready);
}

TEST_CASE("what was posted is destroyed, run or not") {
  auto token = std::make_shared<int>(1);
  {
    Reactor reactor;
    reactor.post([token] {});
    reactor.at(system_clock().monotonic_ms() + 3'600'000, [token] {});
    reactor.stop();
    CHECK(token.use_count() == 1);
    CHECK_FALSE(reactor.post([token] {}));
  }
  CHECK(token.use_count() == 1);
}

TEST_CASE("the thread has its name and no signals") {
  Reactor reactor;
  char name[16] = {};
  sigset_t mask;
  sigset_t before;
  sigset_t after;
  ::pthread_sigmask(SIG_SETMASK, nullptr, &before);
  std::promise<void> done;
  reactor.post([&] {
    ::pthread_getname_np(::pthread_self(), name, sizeof name);
    ::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
    done.set_value();
  });
  done.get_future().wait();
  CHECK(std::string_view(name) == "stacyvm");
  for (const int signal : {SIGINT, SIGTERM, SIGCHLD, SIGUSR1, SIGPIPE, SIGALRM, SIGRTMIN}) CHECK(::sigismember(&mask, signal) == 1);
  ::pthread_sigmask(SIG_SETMASK, nullptr, &after);
  for (int signal = 1; signal < 32; ++signal) CHECK(::sigismember(&before, signal) == ::sigismember(&after, signal));
}

TEST_CASE("timers: by due time, not early, cancelled ones never") {
  Reactor reactor;
  std::vector<int> order;
  std::promise<int64_t> last;
  const int64_t start = system_clock().monotonic_ms();
  reactor.at(start + 60, [&] {
    order.push_back(3);
    last.set_value(system_clock().monotonic_ms());
  });
  reactor.at(start + 20, [&] { order.push_back(1); });
  reactor.at(start + 40, [&] { order.push_back(2); });
  const auto cancelled = reactor.at(start + 30, [&] { order.push_back(99); });
  reactor.cancel(cancelled);
  reactor.cancel(cancelled);
  reactor.cancel(123456);
  const auto ended = last.get_future();
  REQUIRE(ended.wait_for(std::chrono::seconds(kPatience)) == std::future_status::ready);
  CHECK(system_clock().monotonic_ms() >= start + 60);
  CHECK(order == std::vector<int>{1, 2, 3});
  std::promise<void> past;
  reactor.at(start - 1000, [&] { past.set_value(); });
  CHECK(past.get_future().wait_for(std::chrono::seconds(kPatience)) == std::future_status::ready);
}

TEST_CASE("a watch is level-triggered, changes, and is silent once removed") {
  Reactor reactor;
  Fd read_end;
  Fd write_end;
  REQUIRE(make_pipe(read_end, write_end) == 0);
  std::atomic<int> calls = 0;
  const auto id = reactor.watch(read_end.get(), EPOLLIN, [&](uint32_t events) {
    if (events & EPOLLIN) ++calls;
  });
  CHECK(calls == 0);
  REQUIRE(write_all(write_end.get(), "x", 1) == 0);
  CHECK(eventually([&] { return calls > 3; }));  // not read: called again and again
  reactor.change(id, 0);
  std::promise<void> turn;
  reactor.post([&] { turn.set_value(); });
  turn.get_future().wait();
  const int quiet = calls;
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  CHECK(calls == quiet);
  reactor.change(id, EPOLLIN);
  CHECK(eventually([&] { return calls > quiet; }));
  reactor.remove(id);
  const int removed = calls;
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  CHECK(calls == removed);
  reactor.remove(id);
  reactor.change(id, EPOLLIN);
}

TEST_CASE("remove() waits for the callback; from the callback it does not") {
  Reactor reactor;
  Fd read_end;
  Fd write_end;
  REQUIRE(make_pipe(read_end, write_end) == 0);
  REQUIRE(write_all(write_end.get(), "x", 1) == 0);
  std::atomic<bool> inside = false;
  std::atomic<bool> left = false;
  const auto slow = reactor.watch(read_end.get(), EPOLLIN, [&](uint32_t) {
    inside = true;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    left = true;
  });
  REQUIRE(eventually([&] { return inside.load(); }));
  reactor.remove(slow);
  CHECK(left);

  std::atomic<int> calls = 0;
  std::atomic<Reactor::WatchId> self = 0;
  self = reactor.watch(read_end.get(), EPOLLIN, [&](uint32_t) {
    if (self == 0) return;  // before watch() has returned
    ++calls;
    reactor.remove(self);
  });
  REQUIRE(eventually([&] { return calls == 1; }));
  std::this_thread::sleep_for(std::chrono::milliseconds(10));
  CHECK(calls == 1);
  reactor.stop();
}

TEST_CASE("stop() tells every watch once") {
  Reactor reactor;
  Fd read_end[3];
  Fd write_end[3];
  std::atomic<int> stopping = 0;
  std::atomic<int> other = 0;
  for (int i = 0; i < 3; ++i) {
    REQUIRE(make_pipe(read_end[i], write_end[i]) == 0);
    reactor.watch(read_end[i].get(), EPOLLIN, [&](uint32_t events) { ++(events == Reactor::kStopping ? stopping : other); });
  }
  std::thread second([&] { reactor.stop(); });
  reactor.stop();
  second.join();
  CHECK(stopping == 3);
  CHECK(other == 0);
}

TEST_CASE("without descriptors there is no reactor: an error, not a crash") {
  // In a child of its own: RLIMIT_NOFILE counts for the whole process.
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    const rlimit none{0, 0};
    if (::setrlimit(RLIMIT_NOFILE, &none) != 0) ::_exit(2);
    ::_exit(code_of([] { Reactor reactor; }) == Code::limit ? 0 : 1);
  }
  int status = -1;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
}
