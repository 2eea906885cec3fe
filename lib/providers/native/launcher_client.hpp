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
#include <utility>
#include <vector>

#include "channel/reactor.hpp"
#include "core/fd.hpp"
#include "protocol/launch.hpp"
#include "providers/native/embedded.hpp"
#include "providers/native/rendezvous.hpp"

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
  /// `alone` (-1: none): a file that only one launcher at a time has locked; this one waits some seconds for its turn.
  /// `rendezvous` (nullptr: none): the launcher listens there for a next owner, and with `detached` waits for one when this process is gone.
  LauncherClient(channel::Reactor& reactor, const std::string& instance, bool rootless, int held, int alone, const Rendezvous* rendezvous, bool detached);
  /// Ends the launcher and with it every sandbox; waits until it is gone. Control groups that it could not remove stay: another launcher of the
  /// instance may run already, with sandboxes in them.
  ~LauncherClient();

  /// Takes over the launcher that listens at the rendezvous, with what it runs. nullptr when none does. `held`: what it was given to hold by the one
  /// who started it. Throws Error conflict when it has an owner or refuses us.
  struct Found {
    uint64_t token;
    std::string name;
    int64_t expires_in_ms;  // INT64_MAX: nobody has said
    Fd channel;  // not valid: there is no talking to it
  };
  static std::shared_ptr<LauncherClient> take_over(channel::Reactor& reactor, const Rendezvous& rendezvous, bool detached, std::vector<Found>& found, Fd& held);
  /// Whom to tell of a sandbox that was found. Before start().
  void watch(uint64_t token, Events events);
  /// Begins to hear what the launcher says; the constructor has done so for one that it started.
  void start();
  /// Kills it, and with it every sandbox: for one that cannot be used. Nothing but the destructor may follow.
  void kill_all() noexcept { process_.kill(); }
  /// Leaves the launcher and its sandboxes to the next owner. Nothing is heard of them any more.
  void detach() noexcept;

  const protocol::Online& online() const noexcept { return online_; }
  bool alive() const;
  const AgentProcess& process() const noexcept { return process_; }
  uint64_t new_token();
  /// Sends the request with the agent's end of the channel. Exactly one of refused or exited follows. Throws Error closed or limit.
  void spawn(const protocol::Spawn& request, const Fd& channel, Events events);
  void kill(uint64_t token) noexcept;
  /// Without an owner it ends after so long.
  void expire(uint64_t token, int64_t in_ms) noexcept;

 private:
  LauncherClient(channel::Reactor& reactor, Fd socket) : reactor_(reactor), socket_(std::move(socket)), detached_(true) {}
  /// What take_over() learns from one connection. False: the launcher closed it without an answer.
  bool claim(const Rendezvous& rendezvous, bool detached, int64_t end_ms, std::vector<Found>& found, Fd& held);
  void receive(uint32_t events);
  void lost();
  template <class Message>
  int send(const Message& message, const std::vector<int>& fds);
  /// The same for what is small and must be sent without memory, too.
  template <class Message>
  void send_small(const Message& message) noexcept;

  channel::Reactor& reactor_;
  AgentProcess process_;
  Fd socket_;  // closed before the process is ended and waited for
  protocol::Online online_;
  channel::Reactor::WatchId watch_ = 0;
  std::mutex send_mutex_;  // order of messages on the socket
  std::string small_ = std::string(64, '\0');  // of send_small: has room for its messages. Guarded by send_mutex_
  mutable std::mutex mutex_;  // guards what follows; never held across a callback
  bool lost_ = false;
  uint64_t next_token_ = protocol::kFirstToken;
  bool detached_ = false;  // detach() was called, or the launcher is not ours yet: it is not to be touched
  std::unordered_map<uint64_t, Events> sandboxes_;
};

}  // namespace svm::providers::native
