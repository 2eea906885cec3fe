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
  enum class Gives { json, sandbox, instance, session };
  struct Outcome {
    std::string json;
    std::string sandbox;  // spawn: the id
    bool made = true;     // spawn: by this call; one that was there before is nobody's to destroy
    std::shared_ptr<Instance> instance = nullptr;
    std::shared_ptr<Session> opened = nullptr;
  };
  using Task = std::function<Outcome()>;
  using Work = std::function<Outcome(Door&, const Caller&)>;

  /// Set as soon as nobody waits for the call any more; work that takes long looks at it.
  using Stop = std::shared_ptr<std::atomic<bool>>;

  Op(std::shared_ptr<Session> session, Gives gives) noexcept : Source(std::move(session)), gives_(gives) {}
  Op(std::shared_ptr<Instance> instance, Gives gives) noexcept : Source(std::move(instance)), gives_(gives) {}

  /// Hands the work to the instance's threads. Throws without having started it.
  /// `stop`: work that may take as long as the host's own descriptors do, and looks at it.
  static std::shared_ptr<Op> begin(const std::shared_ptr<Session>& session, Gives gives, Work work, Stop stop = nullptr);
  /// The same for a call by name, which needs no thread while a sandbox works at it.
  static std::shared_ptr<Op> begin(const std::shared_ptr<Session>& session, gate::OwnedCall call);
  /// Opens a session.
  static std::shared_ptr<Op> begin(const std::shared_ptr<Instance>& instance, Task task);
  /// Opens an instance, on a thread that exists only meanwhile: there are no others yet.
  static std::shared_ptr<Op> begin(Task task);

  /// The functions of the C ABI of the same name; they answer STACYVM_OK or _AGAIN, or throw.
  int32_t wait(const Deadline& deadline);
  int32_t json(std::string& out);
  int32_t take_sandbox(std::string& id);
  int32_t take_instance(std::shared_ptr<Instance>& out);
  int32_t take_session(std::shared_ptr<Session>& out);
  void cancel() noexcept;
  /// The handle is gone: what nobody took is destroyed or closed, now or when it is there.
  void abandon() noexcept;

  void end() noexcept override;
  /// After end() or abandon(): the parent need not know it any more.
  void part() noexcept;
  const std::shared_ptr<Session>& session_ptr() const noexcept { return session_; }

 private:
  uint32_t ready_now() noexcept override { return done_ ? STACYVM_READY_DONE : 0; }
  int32_t ready_code() const noexcept override { return error_ ? static_cast<int32_t>(error_->code()) : STACYVM_OK; }
  static std::shared_ptr<Op> submit(Pool& pool, const std::shared_ptr<Op>& op, Pool::Job job);
  Parent* parent() const noexcept;
  void run(const Task& task) noexcept;
  void run(gate::OwnedCall call) noexcept;
  void finish(Outcome outcome, std::optional<Error> error);
  void finish_early(Code code, const char* message) noexcept;
  int32_t succeeded() const;
  template <class T>
  int32_t take_once(std::shared_ptr<T>& from, std::shared_ptr<T>& out, const char* what);
  void drop(Outcome outcome) noexcept;
  void destroy_later(std::string id) noexcept;

  void stop_running() noexcept;

  const Gives gives_;
  Stop stop_;  // may be empty
  bool done_ = false, taken_ = false, abandoned_ = false;
  Outcome outcome_;
  std::optional<Error> error_;
  std::shared_ptr<gate::Running> running_;  // what cancel() reaches
};

/// An op behind a handle that the session knows.
stacyvm_op* make_op(const std::shared_ptr<Session>& session, Op::Gives gives, Op::Work work, Op::Stop stop = nullptr);
stacyvm_op* make_op(const std::shared_ptr<Session>& session, gate::OwnedCall call);
/// One that opens a session.
stacyvm_op* make_op(const std::shared_ptr<Instance>& instance, Op::Task task);
/// One that opens an instance.
stacyvm_op* make_op(Op::Task task);

}  // namespace svm::capi

struct stacyvm_op : svm::capi::Handle<svm::capi::Op, 0x6e69706f> {
  using Handle::Handle;
};
