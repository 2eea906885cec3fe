// A call in flight.
#pragma once
#include <stacyvm/stacyvm.h>

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "guard.hpp"
#include "source.hpp"

namespace svm::capi {

class Op : public Source, public std::enable_shared_from_this<Op> {
 public:
  struct Outcome {
    std::string json;
    std::string sandbox;  // spawn: the id
    bool made = true;     // spawn: by this call; one that was there before is nobody's to destroy
  };
  using Work = std::function<Outcome(gate::Gate&, const model::Identity&)>;

  /// Set as soon as nobody waits for the call any more; work that takes long looks at it.
  using Stop = std::shared_ptr<std::atomic<bool>>;

  explicit Op(std::shared_ptr<Session> session, bool spawns) noexcept : Source(std::move(session)), spawns_(spawns) {}

  /// Hands the work to the instance's threads. Throws without having started it.
  /// `stop`: work that may take as long as the host's own descriptors do, and looks at it.
  static std::shared_ptr<Op> begin(const std::shared_ptr<Session>& session, bool spawns, Work work, Stop stop = nullptr);
  /// The same for a call by name, which needs no thread while a sandbox works at it.
  static std::shared_ptr<Op> begin(const std::shared_ptr<Session>& session, gate::OwnedCall call);

  /// The functions of the C ABI of the same name; they answer STACYVM_OK or _AGAIN, or throw.
  int32_t wait(const Deadline& deadline);
  int32_t json(std::string& out);
  int32_t take_sandbox(std::string& id);
  void cancel() noexcept;
  /// The handle is gone: what nobody took is destroyed, now or when it is there.
  void abandon() noexcept;

  void end() noexcept override;
  Session& session() const noexcept { return *session_; }
  const std::shared_ptr<Session>& session_ptr() const noexcept { return session_; }

 private:
  uint32_t ready_now() noexcept override { return done_ ? STACYVM_READY_DONE : 0; }
  int32_t ready_code() const noexcept override { return error_ ? static_cast<int32_t>(error_->code()) : STACYVM_OK; }
  static std::shared_ptr<Op> submit(Pool& pool, const std::shared_ptr<Op>& op, Pool::Job job);
  void run(const Work& work) noexcept;
  void run(gate::OwnedCall call) noexcept;
  void finish(Outcome outcome, std::optional<Error> error);
  void finish_early(Code code, const char* message) noexcept;
  int32_t succeeded() const;
  void destroy_later(std::string id) noexcept;

  void stop_running() noexcept;

  const bool spawns_;
  Stop stop_;  // may be empty
  bool done_ = false, taken_ = false, abandoned_ = false;
  Outcome outcome_;
  std::optional<Error> error_;
  std::shared_ptr<gate::Running> running_;  // what cancel() reaches
};

/// An op behind a handle that the session knows.
stacyvm_op* make_op(const std::shared_ptr<Session>& session, bool spawns, Op::Work work, Op::Stop stop = nullptr);
stacyvm_op* make_op(const std::shared_ptr<Session>& session, gate::OwnedCall call);

}  // namespace svm::capi

struct stacyvm_op : svm::capi::Handle<svm::capi::Op, 0x6e69706f> {
  using Handle::Handle;
};
