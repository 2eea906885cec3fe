// What of an operation becomes an event. Internal to lib/gate.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "channel/channel.hpp"
#include "events/event.hpp"
#include "gate/handlers.hpp"

namespace svm::gate {

/// The errno among an error's facts, 0 where there is none.
int error_number(const Error& error);

/// Bytes that a stream delivered, by kind; `in` those it took.
struct Counts {
  uint64_t out = 0, err = 0, bytes = 0, in = 0;
};

/// Passes everything on and tells its end once: with the Result, or with nullptr when the last reference goes before.
class ObservedStream final : public channel::Stream {
 public:
  using Ended = std::function<void(const protocol::Result* result, const Counts& counts)>;  // must not throw: the last reference may go anywhere
  ObservedStream(std::shared_ptr<channel::Stream> stream, Ended ended) : stream_(std::move(stream)), ended_(std::move(ended)) {}
  ~ObservedStream() override;

  Next next(int64_t timeout_ms, channel::Piece& out) override;
  const protocol::Result* result() const noexcept override { return stream_->result(); }
  uint32_t pid() const noexcept override { return stream_->pid(); }
  size_t write(const void* data, size_t size, int64_t timeout_ms) override;
  void finish() override { stream_->finish(); }
  void cancel() noexcept override { stream_->cancel(); }
  void send_signal(int signal, bool group) override { stream_->send_signal(signal, group); }
  void kill() noexcept override { stream_->kill(); }
  void resize(uint32_t rows, uint32_t columns) override { stream_->resize(rows, columns); }
  void forget_end() noexcept override { ended_ = nullptr; }
  bool readable() const noexcept override { return stream_->readable(); }
  bool writable() const noexcept override { return stream_->writable(); }
  void set_notify(std::function<void()> hook) override { stream_->set_notify(std::move(hook)); }

 private:
  std::shared_ptr<channel::Stream> stream_;
  Ended ended_;
  Counts counts_;
};

/// Tells of one thing that happened to a sandbox, and keeps the history of its commands. Copies what it needs: it outlives the call where a stream does.
class Witness {
 public:
  Witness(events::Log& log, const model::SandboxRecord& sandbox) : log_(&log), sandbox_(sandbox.id), tenant_(sandbox.tenant_id) {}

  /// Of a command that another owner started.
  Witness(events::Log& log, const model::SandboxRecord& sandbox, model::ExecRecord started) : Witness(log, sandbox) { exec_ = std::move(started); }

  void tell(std::string_view type, const events::Data& data) const { log_->append(std::string(type), sandbox_, tenant_, data.json()); }
  // What follows has happened, and is not undone for want of memory to tell of it: then it counts as lost (events.lost).
  /// Both of one command, by its id.
  void exec_started(std::string exec_id, const model::ExecRequest& request);
  void exec_ended(manager::Manager& manager, const protocol::ExecResult& result) const noexcept;
  /// It could not be started, was cancelled before it ended, or its sandbox went away.
  void exec_failed(Code code, std::string_view message, const Counts& counts = {}) const noexcept;
  /// And, where a limit of the sandbox was why, which.
  void failed(std::string_view operation, Code code, int error_number, std::string_view message) const noexcept;

 private:
  template <class F>
  void quietly(F&& act) const noexcept;

  events::Log* log_;
  std::string sandbox_, tenant_;
  model::ExecRecord exec_;  // as it started
};

}  // namespace svm::gate
