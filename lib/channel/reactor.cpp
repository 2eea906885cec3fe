#include "channel/reactor.hpp"

#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <map>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "core/clock.hpp"
#include "core/error.hpp"
#include "core/fd.hpp"

namespace svm::channel {
namespace {
constexpr uint64_t kWakeId = 0;  // of the eventfd; watches and timers count from 1
constexpr int kEventBatch = 64;
}  // namespace

struct Reactor::Impl {
  using Work = std::function<void()>;
  using Ready = std::function<void(uint32_t)>;
  struct Watch {
    int fd;
    std::shared_ptr<Ready> ready;
  };

  Impl();
  static void* enter(void* self) noexcept;
  void loop() noexcept;
  void wake() noexcept;
  int wait_ms();
  void run_posted();
  void run_due_timers();
  void dispatch(WatchId id, uint32_t events);
  void say_stopping();
  template <class F>
  void run_as(uint64_t id, std::unique_lock<std::mutex>& lock, F&& callback);
  void wait_not_running(uint64_t id, std::unique_lock<std::mutex>& lock);
  bool on_thread() const noexcept { return running_thread.load(std::memory_order_relaxed) == ::pthread_self(); }

  Fd epoll;
  Fd wakeup;
  pthread_t thread{};                       // for the join
  std::atomic<pthread_t> running_thread{};  // none before the thread runs and after it has ended

  std::mutex mutex;  // guards what follows; never held while a callback runs
  std::condition_variable idle;  // `running` has changed
  std::vector<Work> posted;
  std::unordered_map<WatchId, Watch> watches;
  std::map<std::pair<int64_t, TimerId>, Work> timers;  // by due time
  std::unordered_map<TimerId, int64_t> timer_due;
  uint64_t next_id = kWakeId + 1;
  uint64_t running = kWakeId;  // the watch or timer whose callback runs now
  bool awake = false;          // a wake-up is on its way: no second one is needed
  bool stopping = false;

  std::mutex join_mutex;
  bool joined = false;
};

Reactor::Impl::Impl() {
  epoll.reset(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) throw errno_error(errno, "epoll_create1");
  wakeup.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wakeup) throw errno_error(errno, "eventfd");
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = kWakeId;
  if (::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, wakeup.get(), &event) != 0) throw errno_error(errno, "epoll_ctl");

  // The thread inherits the mask of its creator: signals of the application are never delivered to it, not even at its start.
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  const int error = ::pthread_create(&thread, nullptr, enter, this);
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (error != 0) throw errno_error(Code::limit, error, "start the reactor thread");
}

void* Reactor::Impl::enter(void* self) noexcept {
  ::pthread_setname_np(::pthread_self(), "stacyvm");
  static_cast<Impl*>(self)->loop();
  return nullptr;
}

void Reactor::Impl::wake() noexcept {
  // Fails only with EAGAIN, when the counter is full: then a wake-up is pending anyway.
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t n = ::write(wakeup.get(), &one, sizeof one);
}

void Reactor::Impl::loop() noexcept {
  running_thread = ::pthread_self();
  epoll_event events[kEventBatch];
  for (;;) {
    const int count = ::epoll_wait(epoll.get(), events, kEventBatch, wait_ms());
    for (int i = 0; i < count; ++i) {
      if (events[i].data.u64 == kWakeId) {
        uint64_t ignored = 0;
        [[maybe_unused]] const ssize_t n = ::read(wakeup.get(), &ignored, sizeof ignored);
        const std::lock_guard lock(mutex);
        awake = false;
      } else {
        dispatch(events[i].data.u64, events[i].events);
      }
    }
    run_due_timers();
    run_posted();
    {
      const std::lock_guard lock(mutex);
      if (!stopping || !posted.empty()) continue;
    }
    say_stopping();
    running_thread = pthread_t{};  // a later thread may get the same id
    return;
  }
}

/// How long epoll_wait may sleep: until the first timer, not at all where work was posted by the thread itself.
int Reactor::Impl::wait_ms() {
  const std::lock_guard lock(mutex);
  if (stopping || !posted.empty()) return 0;
  if (timers.empty()) return -1;
  const int64_t left = timers.begin()->first.first - system_clock().monotonic_ms();
  return static_cast<int>(std::clamp<int64_t>(left, 0, 1'000'000));
}

void Reactor::Impl::run_posted() {
  std::vector<Work> batch;
  {
    const std::lock_guard lock(mutex);
    batch.swap(posted);
  }
  for (Work& work : batch) {
    work();
    work = nullptr;  // what it captured goes before the next one runs
  }
}

void Reactor::Impl::run_due_timers() {
  std::unique_lock lock(mutex);
  if (timers.empty()) return;
  const int64_t now = system_clock().monotonic_ms();
  while (!timers.empty() && timers.begin()->first.first <= now && !stopping) {
    auto node = timers.extract(timers.begin());
    const TimerId id = node.key().second;
    timer_due.erase(id);
    run_as(id, lock, [&] {
      node.mapped()();
      node.mapped() = nullptr;
    });
  }
}

void Reactor::Impl::dispatch(WatchId id, uint32_t events) {
  std::unique_lock lock(mutex);
  const auto found = watches.find(id);
  if (found == watches.end()) return;  // removed since epoll_wait returned
  std::shared_ptr<Ready> ready = found->second.ready;
  run_as(id, lock, [&] {
    (*ready)(events);
    ready.reset();
  });
}

void Reactor::Impl::say_stopping() {
  std::vector<WatchId> ids;
  {
    const std::lock_guard lock(mutex);
    for (const auto& [id, watch] : watches) ids.push_back(id);
  }
  for (const WatchId id : ids) dispatch(id, kStopping);
}

/// Runs a callback without the lock, while remove() and cancel() of its id wait.
template <class F>
void Reactor::Impl::run_as(uint64_t id, std::unique_lock<std::mutex>& lock, F&& callback) {
  running = id;
  lock.unlock();
  callback();
  lock.lock();
  running = kWakeId;
  idle.notify_all();
}

void Reactor::Impl::wait_not_running(uint64_t id, std::unique_lock<std::mutex>& lock) {
  if (on_thread()) return;
  idle.wait(lock, [&] { return running != id; });
}

Reactor::Reactor() : impl_(std::make_unique<Impl>()) {}
Reactor::~Reactor() { stop(); }

bool Reactor::post(std::function<void()> work) {
  const std::lock_guard lock(impl_->mutex);
  if (impl_->stopping) return false;
  impl_->posted.push_back(std::move(work));
  if (!impl_->awake && !impl_->on_thread()) {
    impl_->awake = true;
    impl_->wake();
  }
  return true;
}

Reactor::WatchId Reactor::watch(int fd, uint32_t events, std::function<void(uint32_t)> ready) {
  auto shared = std::make_shared<Impl::Ready>(std::move(ready));
  const std::lock_guard lock(impl_->mutex);
  if (impl_->stopping) throw Error(Code::closed, "the reactor has stopped");
  const WatchId id = impl_->next_id++;
  const auto entry = impl_->watches.emplace(id, Impl::Watch{fd, std::move(shared)}).first;
  epoll_event event{};
  event.events = events;
  event.data.u64 = id;
  if (::epoll_ctl(impl_->epoll.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
    const int error = errno;
    impl_->watches.erase(entry);
    throw errno_error(error, "epoll_ctl");
  }
  return id;
}

void Reactor::change(WatchId id, uint32_t events) {
  const std::lock_guard lock(impl_->mutex);
  const auto found = impl_->watches.find(id);
  if (found == impl_->watches.end()) return;
  epoll_event event{};
  event.events = events;
  event.data.u64 = id;
  // The descriptor is open and registered, so this can only fail where the contract of watch() was broken.
  if (::epoll_ctl(impl_->epoll.get(), EPOLL_CTL_MOD, found->second.fd, &event) != 0) throw errno_error(errno, "epoll_ctl");
}

void Reactor::remove(WatchId id) {
  std::shared_ptr<Impl::Ready> dropped;  // destroyed without the lock: it may own what calls us again
  std::unique_lock lock(impl_->mutex);
  const auto found = impl_->watches.find(id);
  if (found != impl_->watches.end()) {
    ::epoll_ctl(impl_->epoll.get(), EPOLL_CTL_DEL, found->second.fd, nullptr);
    dropped = std::move(found->second.ready);
    impl_->watches.erase(found);
  }
  impl_->wait_not_running(id, lock);
  lock.unlock();
}

Reactor::TimerId Reactor::at(int64_t at_ms, std::function<void()> due) {
  const std::lock_guard lock(impl_->mutex);
  if (impl_->stopping) return 0;
  const TimerId id = impl_->next_id++;
  impl_->timer_due.emplace(id, at_ms);
  const auto entry = impl_->timers.emplace(std::pair(at_ms, id), std::move(due)).first;
  if (entry == impl_->timers.begin() && !impl_->awake && !impl_->on_thread()) {
    impl_->awake = true;
    impl_->wake();
  }
  return id;
}

void Reactor::cancel(TimerId id) {
  std::function<void()> dropped;
  std::unique_lock lock(impl_->mutex);
  const auto found = impl_->timer_due.find(id);
  if (found != impl_->timer_due.end()) {
    const auto timer = impl_->timers.find(std::pair(found->second, id));
    dropped = std::move(timer->second);
    impl_->timers.erase(timer);
    impl_->timer_due.erase(found);
  }
  impl_->wait_not_running(id, lock);
  lock.unlock();
}

bool Reactor::on_thread() const noexcept { return impl_->on_thread(); }

void Reactor::stop() {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->stopping = true;
    impl_->wake();
  }
  const std::lock_guard lock(impl_->join_mutex);
  if (impl_->joined) return;
  ::pthread_join(impl_->thread, nullptr);
  impl_->joined = true;
  // What nobody will call any more goes now, without the lock: callbacks may own objects that call remove() and cancel().
  std::unordered_map<WatchId, Impl::Watch> watches;
  std::map<std::pair<int64_t, TimerId>, std::function<void()>> timers;
  const std::lock_guard state(impl_->mutex);
  watches.swap(impl_->watches);
  timers.swap(impl_->timers);
  impl_->timer_due.clear();
}

}  // namespace svm::channel
