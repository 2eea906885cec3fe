#include "audit/log.hpp"

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "core/clock.hpp"
#include "core/error.hpp"

namespace svm::audit {

namespace {

using std::chrono::milliseconds;

void cut_detail(std::string& detail) {
  static constexpr std::string_view kMore = "...";
  if (detail.size() <= kMaxDetailBytes) return;
  size_t end = kMaxDetailBytes - kMore.size();
  // A UTF-8 character is at most four bytes long, its later ones are 10xxxxxx; what is not UTF-8 is cut anywhere.
  const auto continues = [&](size_t at) { return (static_cast<unsigned char>(detail[at]) & 0xc0) == 0x80; };
  size_t start = end;
  for (int i = 0; i < 3 && continues(start); ++i) --start;
  if (!continues(start)) end = start;
  detail.resize(end);
  detail += kMore;
}

/// A thread inherits the mask of its maker: no signal of the application may be handled on ours.
class SignalsBlocked {
 public:
  SignalsBlocked() noexcept {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_;
};

class GroupLog final : public Log {
 public:
  GroupLog(store::Store& store, Durability durability)
      : store_(store), durability_(durability), next_seq_(store.last_audit_seq() + 1), written_seq_(next_seq_ - 1) {}

  ~GroupLog() override {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    work_.notify_one();
    if (writer_.joinable()) writer_.join();
  }

  int64_t append(model::AuditRow&& row) override {
    cut_detail(row.detail);
    std::unique_lock lock(mutex_);
    progress_.wait(lock, [this] { return failed_ || outstanding() < kMaxPending; });
    throw_if_failed();
    start_writer();
    row.seq = next_seq_;
    row.wall_ms = system_clock().wall_ms();
    const int64_t seq = row.seq;
    pending_.push_back(std::move(row));  // without memory the row stays with the caller, who may try again
    ++next_seq_;
    // In interval mode the writer sleeps through the rows between the first and the one that fills half the room.
    if (durability_ == Durability::strict || resting_ || pending_.size() >= kMaxPending / 2) work_.notify_one();
    if (durability_ == Durability::strict) wait_written(lock, seq);
    return seq;
  }

  void flush() override {
    std::unique_lock lock(mutex_);
    const int64_t last = next_seq_ - 1;
    if (written_seq_ >= last) return;
    flush_seq_ = last;
    work_.notify_one();
    wait_written(lock, last);
  }

 private:
  size_t outstanding() const { return static_cast<size_t>(next_seq_ - 1 - written_seq_); }

  void throw_if_failed() const {
    if (failed_) throw Error(Code::io, "audit: rows could not be written: " + failure_);
  }

  /// Until the row is on disk, or the attempt that comprised it failed.
  void wait_written(std::unique_lock<std::mutex>& lock, int64_t seq) {
    const uint64_t before = failures_;
    progress_.wait(lock, [&] { return written_seq_ >= seq || (failures_ != before && failed_through_ >= seq); });
    if (written_seq_ < seq) throw Error(Code::io, "audit: rows could not be written: " + failure_);
  }

  void start_writer() {
    if (writer_.joinable()) return;
    const SignalsBlocked blocked;
    try {
      writer_ = std::thread([this] { run(); });
    } catch (const std::system_error& error) {
      throw Error(Code::io, std::string("audit: no thread: ") + error.what());
    }
  }

  void run() {
    std::unique_lock lock(mutex_);
    while (true) {
      if (!has_work()) {
        resting_ = true;
        work_.wait(lock, [this] { return stop_ || has_work(); });
        resting_ = false;
        if (!has_work()) return;
        gather(lock);
      }
      write_group(lock);
      if (failed_ && stop_) return;
      gather(lock);  // who acts again and again need not wake this thread each time
    }
  }

  /// Lets more rows come, for one commit; not for long when somebody waits or half the room is used.
  void gather(std::unique_lock<std::mutex>& lock) {
    if (failed_) {
      const int64_t pause = retry_ms_;
      retry_ms_ = std::min(retry_ms_ * 2, kMaxRetryMs);
      work_.wait_for(lock, milliseconds(pause), [this] { return stop_ || flush_wanted(); });
    } else if (durability_ == Durability::interval) {
      work_.wait_for(lock, milliseconds(kIntervalMs), [this] { return stop_ || flush_wanted() || pending_.size() >= kMaxPending / 2; });
    }
  }

  bool has_work() const { return !pending_.empty() || !group_.empty(); }
  bool flush_wanted() const { return flush_seq_ > written_seq_; }

  void write_group(std::unique_lock<std::mutex>& lock) {
    if (group_.empty()) group_.swap(pending_);
    const int64_t first = group_.front().seq, last = group_.back().seq;
    lock.unlock();
    std::string failure;
    try {
      // Callers have these numbers already: a row of somebody else between them would make the log a lie.
      // So would a second copy of rows that are there but could not be synced.
      if (store_.last_audit_seq() != first - 1) {
        throw Error(Code::io, failure_.empty() ? "another writer appends to the same log" : failure_);
      }
      store_.append_audit(group_, true);
    } catch (const std::exception& error) {
      failure = text_of(error);
    }
    lock.lock();
    failed_ = !failure.empty();
    if (failed_) {
      failure_ = std::move(failure);
      failed_through_ = next_seq_ - 1;  // those that came meanwhile wait behind these
      ++failures_;
      flush_seq_ = written_seq_;  // whoever waits in flush() is told; the next one asks again
    } else {
      written_seq_ = last;
      retry_ms_ = kIntervalMs;
      group_.clear();
      failure_.clear();
    }
    progress_.notify_all();
  }

  store::Store& store_;
  const Durability durability_;

  std::mutex mutex_;
  std::condition_variable work_;      // for the writer
  std::condition_variable progress_;  // for everybody else
  std::thread writer_;
  std::vector<model::AuditRow> pending_;  // not yet in the writer's hands, in order of seq
  std::vector<model::AuditRow> group_;    // the writer's: being written, or to be tried again. All older than the pending ones
  int64_t next_seq_;
  int64_t written_seq_;        // durable up to here
  int64_t flush_seq_ = 0;      // somebody waits for this one
  bool stop_ = false;
  bool resting_ = false;       // the writer waits to be woken, however long
  bool failed_ = false;        // the last attempt failed
  uint64_t failures_ = 0;
  int64_t failed_through_ = 0; // the last row that there was when the last attempt failed
  int64_t retry_ms_ = kIntervalMs;
  std::string failure_;
};

}  // namespace

std::unique_ptr<Log> Log::create(store::Store& store, Durability durability) {
  return std::make_unique<GroupLog>(store, durability);
}

}  // namespace svm::audit
