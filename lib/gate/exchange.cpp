#include "gate/exchange.hpp"

#include <algorithm>
#include <condition_variable>
#include <mutex>

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

}  // namespace

Answer exchange(providers::Session& session, Message message, std::string_view input, bool closes, const Bounds& bounds) {
  const std::shared_ptr<Stream> stream = session.request(message.op, std::move(message.payload));
  CancelGuard guard{*stream};
  Deadline deadline(bounds);
  Answer answer;
  Piece piece;
  bool feeding = closes || !input.empty();
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
    if (next == Stream::Next::piece) {
      deadline.progress();
      collect(answer, std::move(piece), bounds.most);
      piece = Piece{};
      continue;
    }
    const int64_t left = deadline.left();
    if (left == 0) throw Error(Code::timeout, "the sandbox did not answer in time");
    if (feeding) waiter->wait(left);
  }
  guard.done = true;
  const protocol::Result* result = stream->result();
  if (!result) malformed_answer();
  if (result->code != Code::ok) throw result_error(*result);
  answer.body = result->body;
  return answer;
}

Error result_error(const protocol::Result& result) {
  // again and end are no errors: an agent that says so broke its protocol.
  const bool failure = code_is_known(static_cast<int32_t>(result.code)) && result.code != Code::again && result.code != Code::end;
  Error error(failure ? result.code : Code::internal, result.message.empty() ? "the operation failed" : result.message);
  switch (result.subject) {
    case protocol::Subject::user: (void)std::move(error).with("field", "user"); break;  // adds to it in place
    case protocol::Subject::workdir: (void)std::move(error).with("field", "workdir").with("step", "working_directory"); break;
    case protocol::Subject::other: break;
  }
  if (result.error == 0) return error;
  return std::move(error).with("errno", static_cast<long long>(result.error));
}

void malformed_answer() { throw Error(Code::internal, "the sandbox's agent gave a malformed answer"); }

}  // namespace svm::gate
