// An open instance, and the sessions on it.
#pragma once
#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "core/fd.hpp"
#include "core/log.hpp"
#include "door.hpp"
#include "family.hpp"
#include "guard.hpp"
#include "pool.hpp"

namespace svm::capi {

class Instance;

/// The right to use the door. While one exists what is behind it does, too; close() waits for the last one.
class Lease {
 public:
  Lease(Lease&& other) noexcept = default;
  Lease& operator=(Lease&&) = delete;
  ~Lease();
  Door& door() const noexcept;

 private:
  friend class Instance;
  explicit Lease(std::shared_ptr<Instance> instance) noexcept : instance_(std::move(instance)) {}
  std::shared_ptr<Instance> instance_;
};

class Instance : public Parent, public std::enable_shared_from_this<Instance> {
 public:
  /// `log_fd` is what the manager's Log writes to; kept open for as long as the manager lives.
  Instance(std::unique_ptr<Door> door, Fd log_fd, Log log);
  Instance(std::unique_ptr<manager::Manager> manager, Fd log_fd, Log log) : Instance(std::make_unique<Door>(std::move(manager)), std::move(log_fd), log) {}
  ~Instance() = default;

  /// Error closed once close() has begun.
  Lease enter();
  bool closed() const noexcept;
  bool is_remote() const noexcept { return remote_; }
  /// See stacyvm_shutdown.
  void shutdown(int64_t timeout_ms);
  /// See stacyvm_close.
  void close() noexcept;
  /// For calls that wait for a sandbox.
  Pool& waiting() noexcept { return waiting_; }
  /// For calls that move bytes of the host's own descriptors.
  Pool& transfers() noexcept { return transfers_; }
  /// For everything else, so that it never stands behind those.
  Pool& quick() noexcept { return quick_; }
  void log(LogLevel level, std::string_view text) const noexcept { log_.write(level, text); }

 private:
  friend class Lease;
  void leave() noexcept;
  void release_door() noexcept;

  mutable std::mutex mutex_;
  std::condition_variable idle_;
  bool closed_ = false;
  bool abandoned_ = false;  // close() has stopped waiting: the last lease releases the door
  unsigned leases_ = 0;
  Fd log_fd_;
  Log log_;
  std::unique_ptr<Door> door_;
  const bool remote_;
  Pool waiting_;
  Pool transfers_{kTransferThreads};
  Pool quick_{kQuickThreads};
};

class Session : public Child, public Parent {
 public:
  Session(std::shared_ptr<Instance> instance, Caller caller) noexcept : instance_(std::move(instance)), caller_(std::move(caller)) {}

  /// Error closed when the session or its instance is.
  Lease enter();
  void end() noexcept override;
  const Caller& caller() const noexcept { return caller_; }
  Instance& instance() const noexcept { return *instance_; }
  const std::shared_ptr<Instance>& instance_ptr() const noexcept { return instance_; }

 private:
  const std::shared_ptr<Instance> instance_;
  const Caller caller_;
  std::atomic<bool> closed_{false};
};

/// A sandbox as its handle knows it: who asks, and for which one.
struct Sandbox {
  std::shared_ptr<Session> session;
  std::string id;
};

}  // namespace svm::capi

struct stacyvm_instance : svm::capi::Handle<svm::capi::Instance, 0x6d767373> {
  using Handle::Handle;
};
struct stacyvm_session : svm::capi::Handle<svm::capi::Session, 0x73657373> {
  using Handle::Handle;
};
struct stacyvm_sandbox : svm::capi::Handle<svm::capi::Sandbox, 0x78646e73> {
  using Handle::Handle;
};
