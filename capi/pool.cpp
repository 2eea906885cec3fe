#include "pool.hpp"

#include <algorithm>
#include <condition_variable>
#include <list>
#include <mutex>
#include <system_error>
#include <thread>

#include "core/error.hpp"
#include "thread.hpp"

namespace svm::capi {

struct Pool::State {
  State(size_t m, std::chrono::milliseconds i) : most(m), idle(i) {}
  const size_t most;
  const std::chrono::milliseconds idle;
  std::mutex mutex;
  std::condition_variable work, gone;
  std::list<Job> jobs;  // a list moves and empties without memory
  size_t threads = 0, waiting = 0;
  bool stopping = false;
};

namespace {

thread_local const void* t_pool = nullptr;  // whose thread this is; trivially destroyed

}  // namespace

size_t waiting_threads() noexcept { return std::clamp<size_t>(std::thread::hardware_concurrency(), 2, kMaxWaitingThreads); }

Pool::Pool(size_t most, std::chrono::milliseconds idle) : state_(std::make_shared<State>(most, idle)) {}
Pool::~Pool() { stop(); }

template <class State>
static void work_until_idle(State& s) {
  t_pool = &s;
  std::unique_lock lock(s.mutex);
  while (true) {
    ++s.waiting;
    const bool woken = s.work.wait_for(lock, s.idle, [&] { return s.stopping || !s.jobs.empty(); });
    --s.waiting;
    if (!woken || s.stopping) break;
    Pool::Job job = std::move(s.jobs.front());
    s.jobs.pop_front();
    lock.unlock();
    job();
    job = nullptr;  // what it holds is released before anybody can see the thread idle
    lock.lock();
  }
  --s.threads;
  s.gone.notify_all();
}

void Pool::submit(Job job) {
  State& s = *state_;
  const std::lock_guard lock(s.mutex);
  if (s.stopping) throw Error(Code::closed, "the instance is closed");
  if (s.jobs.size() >= kMaxQueuedJobs)
    throw Error(Code::limit, "too many calls are waiting for a thread").with("limit", static_cast<long long>(kMaxQueuedJobs));
  s.jobs.push_back(std::move(job));
  if (s.waiting < s.jobs.size() && s.threads < s.most) {
    try {
      start_thread("stacyvm-op", [state = state_] { work_until_idle(*state); });
      ++s.threads;
    } catch (const std::system_error& error) {
      // The threads there are will come to it; without any, nobody would.
      if (s.threads == 0) {
        s.jobs.pop_back();
        throw errno_error(Code::limit, error.code().value(), "starting a thread");
      }
    }
  }
  s.work.notify_one();
}

void Pool::stop() noexcept {
  State& s = *state_;
  std::list<Job> dropped;
  std::unique_lock lock(s.mutex);
  s.stopping = true;
  dropped.swap(s.jobs);
  s.work.notify_all();
  lock.unlock();
  dropped.clear();  // without the lock: what a job holds may end here, too
  lock.lock();
  const size_t own = t_pool == &s ? 1 : 0;
  s.gone.wait(lock, [&] { return s.threads <= own; });
}

size_t Pool::threads() const noexcept {
  const std::lock_guard lock(state_->mutex);
  return state_->threads;
}

}  // namespace svm::capi
