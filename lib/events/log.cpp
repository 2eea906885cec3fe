#include "events/log.hpp"

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <utility>

#include "core/clock.hpp"
#include "core/error.hpp"
#include "events/event.hpp"
#include "events/feed.hpp"
#include "events/follower.hpp"

namespace svm::events {
namespace {

using std::chrono::milliseconds;

/// The end of a command takes the place of its start: most are over before either is written, and make one row instead of two writes.
/// All or, without memory, nothing.
void join_ends(std::vector<model::ExecRecord>& execs) {
  std::vector<size_t> places(execs.size());
  std::unordered_map<std::string_view, size_t> starts;  // where those are that have started and not ended, by id
  size_t kept = 0;
  for (size_t i = 0; i < execs.size(); ++i) {
    const model::ExecRecord& exec = execs[i];
    if (exec.id.empty()) starts.clear();  // ends all that were started before it
    const auto start = exec.ended_ms == 0 ? starts.end() : starts.find(exec.id);
    places[i] = start == starts.end() ? kept++ : start->second;
    if (start != starts.end()) starts.erase(start);
    if (exec.ended_ms == 0) starts.emplace(exec.id, places[i]);
  }
  for (size_t i = 0; i < execs.size(); ++i)
    if (places[i] != i) execs[places[i]] = std::move(execs[i]);
  execs.resize(kept);
}

class TableLog final : public Log {
 public:
  TableLog(store::Store& store, bool read_only, svm::Log diagnostics)
      : store_(store), read_only_(read_only), diagnostics_(diagnostics), feed_(std::make_shared<Feed>(store)) {}

  ~TableLog() override {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    work_.notify_one();
    if (writer_.joinable()) writer_.join();
    feed_->close();
  }

  void append(std::string type, const std::string& sandbox_id, const std::string& tenant_id, std::string data) override {
    if (read_only_) return;
    model::Event event{0, 0, std::move(type), sandbox_id, tenant_id, std::move(data)};
    const std::lock_guard lock(mutex_);
    event.wall_ms = system_clock().wall_ms();
    if (pending_.size() + taken_events_ >= kMaxPending || !start_writer()) {
      ++lost_;
      return;
    }
    pending_.push_back(std::move(event));
    // The writer sleeps through the events between the first and the one that fills half the room.
    if (resting_ || pending_.size() == kMaxPending / 2) work_.notify_one();
  }

  model::EventCounts counts() override {
    const store::Store::EventRange range = feed_->range();
    return {feed_->followers(), range.last - range.first + 1, range.last};
  }

  void record(model::ExecRecord exec) override {
    if (read_only_) return;
    const std::lock_guard lock(mutex_);
    if (execs_.size() + taken_execs_ >= kMaxPending || !start_writer()) {
      ++lost_;
      return;
    }
    execs_.push_back(std::move(exec));
    if (resting_) work_.notify_one();
  }

  void note_lost() noexcept override {
    const std::lock_guard lock(mutex_);
    if (!read_only_) ++lost_;  // told by the writer with what comes next
  }

  void flush() override {
    std::unique_lock lock(mutex_);
    if (idle() || !start_writer()) return;
    const uint64_t wanted = rounds_ + (writing_ ? 2 : 1);
    ++flushers_;
    work_.notify_one();
    done_.wait(lock, [&] { return rounds_ >= wanted || idle(); });
    --flushers_;
  }

  std::shared_ptr<channel::Stream> follow(Filter filter, int64_t after_id) override {
    const int64_t last = feed_->last();
    if (after_id > last) throw Error(Code::invalid, "after: there is no event of that id yet").with("field", "after").with("limit", static_cast<long long>(last));
    auto follower = std::make_shared<Follower>(feed_, std::move(filter), after_id < 0 ? last : after_id);
    feed_->join(follower);
    return follower;
  }

 private:
  bool has_work() const { return !pending_.empty() || !execs_.empty() || lost_ > 0; }
  bool idle() const { return !has_work() && !writing_; }

  /// A thread inherits the mask of its maker: no signal of the application may be handled on ours. Needs mutex_.
  bool start_writer() {
    if (writer_.joinable()) return true;
    sigset_t all, before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    try {
      writer_ = std::thread([this] { run(); });
    } catch (const std::exception& error) {
      complain("events: no thread: ", error.what());
    }
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return writer_.joinable();
  }

  void complain(const char* what, std::string_view why) const noexcept {
    try {
      diagnostics_.write(LogLevel::error, what + std::string(why));
    } catch (const std::bad_alloc&) {  // the log is for people, who have other troubles now
    }
  }

  void run() noexcept {
    std::unique_lock lock(mutex_);
    for (;;) {
      if (!has_work()) {
        resting_ = true;
        work_.wait(lock, [this] { return stop_ || has_work(); });
        resting_ = false;
        if (!has_work()) return;
        gather(lock);
      }
      write(lock);
      if (failed_ && stop_) return;
      gather(lock);  // who appends one thing after another need not wake this thread each time
    }
  }

  /// Lets more come, for one transaction.
  void gather(std::unique_lock<std::mutex>& lock) {
    work_.wait_for(lock, milliseconds(failed_ ? retry_ms_ : kIntervalMs),
                   [this] { return stop_ || flushers_ > 0 || (!failed_ && pending_.size() >= kMaxPending / 2); });
  }

  void write(std::unique_lock<std::mutex>& lock) {
    std::vector<model::Event> group = std::exchange(pending_, {});
    std::vector<model::ExecRecord> execs = std::exchange(execs_, {});
    const uint64_t lost = std::exchange(lost_, 0);
    taken_events_ = group.size();
    taken_execs_ = execs.size();
    writing_ = true;
    lock.unlock();
    const size_t told = group.size();
    std::string failure;
    try {
      if (lost > 0) group.push_back({0, system_clock().wall_ms(), "events.lost", "", "", Data().number("count", static_cast<int64_t>(lost)).json()});
      join_ends(execs);
      // With the history: who is told of an end finds it there.
      store_.record(execs, group, system_clock().wall_ms() - kRetentionMs);
      if (!group.empty()) feed_->advance(group.back().id);
    } catch (const std::exception& error) {
      failure = text_of(error);
    }
    lock.lock();
    writing_ = false;
    taken_events_ = taken_execs_ = 0;
    ++rounds_;
    if (failure.empty()) {
      failed_ = false;
      retry_ms_ = kIntervalMs;
    } else {
      // They are still in order before those that have come since.
      group.resize(told);
      lost_ += lost;
      put_back(pending_, std::move(group));
      put_back(execs_, std::move(execs));
      if (!failed_) complain("events: they could not be stored: ", failure);
      failed_ = true;
      retry_ms_ = std::min(retry_ms_ * 2, kMaxRetryMs);
    }
    done_.notify_all();
  }

  /// Before what has come since; where there is no memory for all, that is lost. Needs mutex_.
  template <class T>
  void put_back(std::vector<T>& since, std::vector<T>&& before) noexcept {
    try {
      before.insert(before.end(), std::make_move_iterator(since.begin()), std::make_move_iterator(since.end()));
    } catch (const std::bad_alloc&) {
      lost_ += since.size();
    }
    since = std::move(before);
  }

  store::Store& store_;
  const bool read_only_;
  const svm::Log diagnostics_;
  const std::shared_ptr<Feed> feed_;

  std::mutex mutex_;
  std::condition_variable work_, done_;  // for the writer; for flush()
  std::thread writer_;
  std::vector<model::Event> pending_;
  std::vector<model::ExecRecord> execs_;  // the same for the history
  size_t taken_events_ = 0, taken_execs_ = 0;  // in the writer's hands: they come back when it fails
  uint64_t lost_ = 0;      // did not fit, and are not told yet
  uint64_t rounds_ = 0;    // attempts to write that have ended
  unsigned flushers_ = 0;
  bool writing_ = false, stop_ = false, failed_ = false;
  bool resting_ = false;   // the writer waits to be woken, however long
  int64_t retry_ms_ = kIntervalMs;
};

}  // namespace

std::unique_ptr<Log> Log::create(store::Store& store, bool read_only, svm::Log diagnostics) {
  return std::make_unique<TableLog>(store, read_only, diagnostics);
}

}  // namespace svm::events
