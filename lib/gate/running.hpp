// A call that nobody waits for. Internal to lib/gate but for the class Running, which gate.hpp names.
#pragma once
#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "gate/call.hpp"

namespace svm::gate {

/// Owns what the call refers to. Keeps itself alive through the exchange that is under way.
template <class O>
class AskingCall final : public Running, public std::enable_shared_from_this<AskingCall<O>> {
 public:
  AskingCall(manager::Manager& manager, Meters& meters, OwnedCall owned, Executor execute, Done done)
      : owned_(std::move(owned)), pairs_(owned_.pairs.begin(), owned_.pairs.end()), call_(manager, meters, owned_.caller, pairs_, owned_.body),
        execute_(std::move(execute)), done_(std::move(done)) {}

  void begin() {
    auto exchange = call_.begin([self = this->shared_from_this()](Answer answer, std::exception_ptr failure) {
      // Not on the thread that brought it: encoding takes time, and the audit row may wait for the disk.
      auto shared = std::make_shared<Answer>(std::move(answer));
      self->execute_([self, shared, failure] { self->conclude(std::move(*shared), failure); });
    });
    if (!exchange) return conclude({}, nullptr);
    bool cancelled = false;
    {
      const std::lock_guard lock(mutex_);
      cancelled = cancelled_;
      exchange_ = exchange;
    }
    if (cancelled) exchange->cancel();
  }

  void cancel() noexcept override {
    std::shared_ptr<Exchange> exchange;
    {
      const std::lock_guard lock(mutex_);
      cancelled_ = true;
      exchange = exchange_;
    }
    if (exchange) exchange->cancel();
  }

 private:
  void conclude(Answer answer, const std::exception_ptr& failure) {
    try {
      done_(model::encode(call_.answered(std::move(answer), failure)), nullptr);
    } catch (...) {
      done_({}, std::current_exception());
    }
  }

  const OwnedCall owned_;
  const Pairs pairs_;
  Call<O> call_;
  const Executor execute_;
  const Done done_;
  std::mutex mutex_;
  std::shared_ptr<Exchange> exchange_;
  bool cancelled_ = false;
};

}  // namespace svm::gate
