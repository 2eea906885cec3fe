// The library's end of one launcher process: starts it, sends it what to spawn, hears what became of it.
#pragma once
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#include "channel/reactor.hpp"
#include "core/fd.hpp"
#include "protocol/launch.hpp"
#include "providers/native/embedded.hpp"

namespace svm::providers::native {

/// Thread-safe. Callbacks run on the reactor thread.
class LauncherClient {
 public:
  struct Events {
    std::function<void(const protocol::StepFailure&)> refused;  // nothing of the sandbox is left
    std::function<void()> exited;  // everything of the sandbox is gone; also when the launcher is
  };

  /// Starts the process and waits until it is online. `held` (-1: none) is a descriptor that the launcher keeps open for as long as it lives.
  /// Throws Error naming the step.
  LauncherClient(channel::Reactor& reactor, const std::string& instance, bool rootless, int held);
  /// Ends the launcher and with it every sandbox; waits until it is gone and leaves no control group.
  ~LauncherClient();

  const protocol::Online& online() const noexcept { return online_; }
  bool alive() const;
  uint64_t new_token();
  /// Sends the request with the agent's end of the channel. Exactly one of refused or exited follows. Throws Error closed or limit.
  void spawn(const protocol::Spawn& request, const Fd& channel, Events events);
  void kill(uint64_t token) noexcept;

 private:
  void receive(uint32_t events);
  void lost();
  template <class Message>
  int send(const Message& message, std::initializer_list<int> fds) noexcept;

  channel::Reactor& reactor_;
  const std::string instance_;
  Fd socket_;
  AgentProcess process_;
  protocol::Online online_;
  channel::Reactor::WatchId watch_ = 0;
  std::mutex send_mutex_;  // order of messages on the socket
  mutable std::mutex mutex_;  // guards what follows; never held across a callback
  bool lost_ = false;
  uint64_t next_token_ = 2;  // see the launcher: smaller numbers are its own
  std::unordered_map<uint64_t, Events> sandboxes_;
};

}  // namespace svm::providers::native
