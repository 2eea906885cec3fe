// Where an instance's calls go: through the gate to the sandboxes of this machine, or to a server. Nothing above knows which.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "gate/gate.hpp"
#include "remote/client.hpp"

namespace svm::capi {

/// Who calls: as the gate knows him, and as a server does.
struct Caller {
  model::Identity identity;
  remote::Caller remote;
};

/// Thread-safe. Errors are those of gate::Gate, and of a server also those of reaching it.
class Door {
 public:
  explicit Door(std::unique_ptr<manager::Manager> manager) : manager_(std::move(manager)), gate_(std::make_unique<gate::Gate>(*manager_)) {}
  explicit Door(std::unique_ptr<remote::Client> client) noexcept : client_(std::move(client)) {}

  bool is_remote() const noexcept { return client_ != nullptr; }

  template <class O>
  typename O::Response run(const Caller& caller, typename O::Request request) {
    return client_ ? client_->run<O>(caller.remote, request) : gate_->run<O>(caller.identity, std::move(request));
  }
  template <class O>
  std::shared_ptr<channel::Stream> start(const Caller& caller, typename O::Request request) {
    return client_ ? client_->start<O>(caller.remote, request) : gate_->start<O>(caller.identity, std::move(request));
  }
  std::string call(const Caller& caller, std::string_view operation, const gate::Pairs& pairs, std::string_view body) {
    return client_ ? client_->call(caller.remote, operation, pairs, body) : gate_->call(caller.identity, operation, pairs, body);
  }
  std::shared_ptr<channel::Stream> call_stream(const Caller& caller, std::string_view operation, const gate::Pairs& pairs, std::string_view body) {
    return client_ ? client_->call_stream(caller.remote, operation, pairs, body) : gate_->call_stream(caller.identity, operation, pairs, body);
  }
  /// As gate::Gate::begin. A server's answer is waited for on `execute`.
  std::shared_ptr<gate::Running> begin(const Caller& caller, gate::OwnedCall call, gate::Executor execute, gate::Done done);

  /// Who the caller is to it, as stacyvm_session_check answers. Asks a server.
  void check(const Caller& caller);
  std::vector<std::string> adopt_commands() { return client_ ? std::vector<std::string>() : gate_->adopt_commands(); }
  /// manager::Manager's of the same names. A server's sandboxes are not ours to end.
  void shutdown(int64_t timeout_ms) {
    if (manager_) manager_->shutdown(timeout_ms);
  }
  void leave(int64_t timeout_ms) {
    if (manager_) manager_->leave(timeout_ms);
    if (client_) client_->stop();
  }

 private:
  std::unique_ptr<manager::Manager> manager_;
  std::unique_ptr<gate::Gate> gate_;
  std::unique_ptr<remote::Client> client_;  // alone, or the two others
};

}  // namespace svm::capi
