#include "gate/exchange.hpp"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <utility>

#include "core/clock.hpp"

namespace svm::gate {
namespace {

using channel::Piece;
using channel::Stream;

/// Lets one thread wait for a stream to become readable or writable, whichever comes first.
class Waiter {
 public:
  explicit Waiter(Stream& stream) : stream_(stream) {
    stream_.set_notify([this] {
      const std::lock_guard lock(mutex_);
      woken_ = true;
      wake_.notify_one();
    });
  }
  ~Waiter() { stream_.set_notify({}); }  // after this the hook is not running
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;

  /// What happens from here on ends the next wait.
  void arm() {
    const std::lock_guard lock(mutex_);
    woken_ = false;
  }
  void wait(int64_t timeout_ms) {
    std::unique_lock lock(mutex_);
    const auto woken = [this] { return woken_; };
    if (timeout_ms < 0)
      wake_.wait(lock, woken);
    else
      wake_.wait_for(lock, std::chrono::milliseconds(timeout_ms), woken);
  }

 private:
  Stream& stream_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool woken_ = false;
};

/// How long may still be waited: the nearer of two deadlines, moved by progress.
class Deadline {
 public:
  explicit Deadline(const Bounds& bounds) : bounds_(bounds), start_(system_clock().monotonic_ms()), progress_(start_) {}
  void progress() {
    if (bounds_.idle_ms >= 0) progress_ = system_clock().monotonic_ms();
  }
  int64_t left() const {
    if (bounds_.total_ms < 0 && bounds_.idle_ms < 0) return -1;
    const int64_t now = system_clock().monotonic_ms();
    int64_t left = INT64_MAX;
    if (bounds_.total_ms >= 0) left = std::min(left, start_ + bounds_.total_ms - now);
    if (bounds_.idle_ms >= 0) left = std::min(left, progress_ + bounds_.idle_ms - now);
    return std::max(left, int64_t{0});
  }

 private:
  const Bounds& bounds_;
  int64_t start_, progress_;
};

/// Cancels on the way out unless the Result was seen: whatever threw, the agent must not go on working for nobody.
struct CancelGuard {
  Stream& stream;
  bool done = false;
  ~CancelGuard() {
    if (!done) stream.cancel();
  }
};

void collect(Answer& answer, Piece&& piece, size_t most) {
  std::string& into = piece.kind == protocol::DataKind::err ? answer.err : piece.kind == protocol::DataKind::entry ? answer.entries : answer.out;
  if (answer.out.size() + answer.err.size() + answer.entries.size() + piece.data.size() > most)
    throw Error(Code::limit, "the answer is longer than " + std::to_string(most) + " bytes").with("limit", static_cast<long long>(most));
  if (into.empty())
    into = std::move(piece.data);
  else
    into += piece.data;
}

// Writes what there is room for. False when the agent takes no more: it has ended the request, and its Result says why.
bool feed(Stream& stream, std::string_view& input) {
  try {
    while (!input.empty()) {
      const size_t taken = stream.write(input.data(), input.size(), 0);
      if (taken == 0) return true;
      input.remove_prefix(taken);
    }
    stream.finish();
    return false;
  } catch (const Error& error) {
    if (error.code() != Code::closed) throw;
    return false;
  }
}

/// What the Result makes of what was collected.
Answer conclude(const Stream& stream, Answer&& answer) {
  const protocol::Result* result = stream.result();
  if (!result) malformed_answer();
  if (result->code != Code::ok) throw result_error(*result);
  answer.body = result->body;
  return std::move(answer);
}

Error too_late() { return Error(Code::timeout, "the sandbox did not answer in time"); }

class Collector final : public Exchange, public std::enable_shared_from_this<Collector> {
 public:
  Collector(std::shared_ptr<Stream> stream, const Question& question, channel::Reactor& reactor, Done done)
      : stream_(std::move(stream)), reactor_(reactor), input_(question.input), bounds_(question.bounds), deadline_(bounds_),
        feeding_(question.closes || !question.input.empty()), done_(std::move(done)) {}

  void begin() {
    stream_->set_notify([self = shared_from_this()] { self->advance(); });  // removed by finish()
    advance();
  }

  void cancel() noexcept override { stream_->cancel(); }

 private:
  /// Many threads may bring news at once: one of them works, for all.
  void advance() noexcept {
    if (news_.fetch_add(1) > 0) return;
    for (unsigned seen = 1; seen != 0; seen = news_.fetch_sub(seen) - seen) {
      seen = news_.load();
      if (done_) work();
    }
  }

  void work() noexcept {
    try {
      if (collect_all()) return finish(conclude(*stream_, std::move(answer_)), nullptr);
      if (timer_fired_.exchange(false)) timer_ = 0;
      const int64_t left = deadline_.left();
      if (left == 0) throw too_late();
      if (timer_ == 0 && left > 0) watch_time(left);
    } catch (...) {
      const std::exception_ptr failure = std::current_exception();
      if (!stream_->result()) stream_->cancel();  // the agent must not go on working for nobody
      finish({}, failure);
    }
  }

  /// Moves what can be moved now, both ways. True: the Result is there.
  bool collect_all() {
    if (feeding_) {
      const size_t before = input_.size();
      feeding_ = feed(*stream_, input_);
      if (input_.size() != before) deadline_.progress();
    }
    for (Piece piece;; piece = Piece{}) {
      switch (stream_->next(0, piece)) {
        case Stream::Next::end: return true;
        case Stream::Next::again: return false;
        case Stream::Next::half: malformed_answer();
        case Stream::Next::piece:
          deadline_.progress();
          collect(answer_, std::move(piece), bounds_.most);
      }
    }
  }

  /// Progress moves the deadline and not the timer: it looks again when it fires.
  void watch_time(int64_t left) {
    timer_ = reactor_.at(system_clock().monotonic_ms() + left, [self = shared_from_this()] {
      self->timer_fired_ = true;
      self->advance();
    });
  }

  void finish(Answer answer, std::exception_ptr failure) noexcept {
    stream_->set_notify({});
    if (timer_ != 0) reactor_.cancel(timer_);
    std::exchange(done_, nullptr)(std::move(answer), std::move(failure));
  }

  const std::shared_ptr<Stream> stream_;
  channel::Reactor& reactor_;
  std::string_view input_;
  const Bounds bounds_;
  Deadline deadline_;
  std::atomic<unsigned> news_ = 0;
  std::atomic<bool> timer_fired_ = false;
  // Of the thread that works.
  channel::Reactor::TimerId timer_ = 0;
  bool feeding_;
  Answer answer_;
  Done done_;
};

}  // namespace

Answer exchange(providers::Session& session, Question question) {
  const std::shared_ptr<Stream> stream = session.request(question.message.op, std::move(question.message.payload));
  CancelGuard guard{*stream};
  const Bounds& bounds = question.bounds;
  std::string_view input = question.input;
  Deadline deadline(bounds);
  Answer answer;
  Piece piece;
  bool feeding = question.closes || !input.empty();
  std::optional<Waiter> waiter;
  if (feeding) waiter.emplace(*stream);
  for (;;) {
    if (feeding) {
      waiter->arm();
      const size_t before = input.size();
      feeding = feed(*stream, input);
      if (input.size() != before) deadline.progress();
    }
    // While input is left both directions are watched; then reading alone can wait.
    const Stream::Next next = stream->next(feeding ? 0 : deadline.left(), piece);
    if (next == Stream::Next::end) break;
    if (next == Stream::Next::half) malformed_answer();
    if (next == Stream::Next::piece) {
      deadline.progress();
      collect(answer, std::move(piece), bounds.most);
      piece = Piece{};
      continue;
    }
    const int64_t left = deadline.left();
    if (left == 0) throw too_late();
    if (feeding) waiter->wait(left);
  }
  guard.done = true;
  return conclude(*stream, std::move(answer));
}

std::shared_ptr<Exchange> Exchange::start(providers::Session& session, Question question, channel::Reactor& reactor, Done done) {
  auto stream = session.request(question.message.op, std::move(question.message.payload));
  auto collector = std::make_shared<Collector>(std::move(stream), question, reactor, std::move(done));
  collector->begin();
  return collector;
}
Error result_error(const protocol::Result& result) {
  // again and end are no errors: an agent that says so broke its protocol.
  const bool failure = code_is_known(static_cast<int32_t>(result.code)) && result.code != Code::again && result.code != Code::end;
  Error error(failure ? result.code : Code::internal, result.message.empty() ? "the operation failed" : result.message);
  switch (result.subject) {
    case protocol::Subject::user: (void)std::move(error).with("field", "user"); break;  // adds to it in place
    case protocol::Subject::owner: (void)std::move(error).with("field", "owner"); break;
    case protocol::Subject::group: (void)std::move(error).with("field", "group"); break;
    case protocol::Subject::workdir: (void)std::move(error).with("field", "workdir").with("step", "working_directory"); break;
    case protocol::Subject::other: break;
  }
  if (result.error == 0) return error;
  return std::move(error).with("errno", static_cast<long long>(result.error));
}

void malformed_answer() { throw Error(Code::internal, "the sandbox's agent gave a malformed answer"); }

}  // namespace svm::gate
