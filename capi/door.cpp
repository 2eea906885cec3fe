#include "door.hpp"

#include <utility>

namespace svm::capi {
namespace {

/// A call to a server, on the thread that waits for it.
class RemoteCall final : public gate::Running {
 public:
  RemoteCall(remote::Client& client, remote::Caller caller, gate::OwnedCall call, gate::Done done)
      : client_(client), caller_(std::move(caller)), call_(std::move(call)), done_(std::move(done)) {}

  void cancel() noexcept override { interrupt_.raise(); }

  void work() {
    std::string json;
    std::exception_ptr failure;
    try {
      json = client_.call(caller_, call_.operation, {call_.pairs.begin(), call_.pairs.end()}, call_.body, &interrupt_);
    } catch (...) {
      failure = std::current_exception();
    }
    std::exchange(done_, {})(std::move(json), failure);
  }

 private:
  remote::Client& client_;  // `done_` holds what keeps it
  const remote::Caller caller_;
  const gate::OwnedCall call_;
  gate::Done done_;
  net::Interrupt interrupt_;
};

}  // namespace

std::shared_ptr<gate::Running> Door::begin(const Caller& caller, gate::OwnedCall call, gate::Executor execute, gate::Done done) {
  if (!client_) return gate_->begin(std::move(call), std::move(execute), std::move(done));
  const auto running = std::make_shared<RemoteCall>(*client_, caller.remote, std::move(call), std::move(done));
  execute([running] { running->work(); });
  return running;
}

void Door::check(const Caller& caller) {
  if (client_) (void)client_->call(caller.remote, ops::SystemHealth::row.name, {}, "");
}

}  // namespace svm::capi
