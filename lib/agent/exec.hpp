// Streams that start a command.
#pragma once
#include <memory>

#include "agent/process.hpp"
#include "agent/stream.hpp"

namespace svm::agent {

/// A foreground command: its output goes where there is credit, it waits where there is none, and it ends with its stream.
class Exec final : public Stream, private ProcessWatcher, private OutputSink, private InputSource {
 public:
  Exec(Loop& loop, uint32_t id, protocol::ExecRequest&& request);
  ~Exec() override;

  void start() override;
  void on_data(std::string_view bytes) override { process_->write(*this, bytes); }
  void on_end() override { process_->end_input(); }
  void on_cancel() override { process_->cancel(); }
  void on_signal(int signal, uint32_t flags) override;
  void on_resize(uint32_t rows, uint32_t columns) override;
  void on_room() override { process_->resume_output(); }

 private:
  void on_process_started() override { send_started(process_->pid()); }
  void on_process_end() override { finish(process_->result()); }
  size_t output_room() override;
  void on_output(protocol::DataKind kind, size_t size) override { send_data(kind, size); }
  void input_taken(size_t size) override { consumed(size); }

  const std::shared_ptr<Process> process_;
};

/// A background command: the stream tells that it started and how it ended. Cancelled, it ends the command; gone, it does not.
class BackgroundExec final : public Stream, private ProcessWatcher {
 public:
  BackgroundExec(Loop& loop, uint32_t id, protocol::ExecRequest&& request);
  ~BackgroundExec() override;

  void start() override;
  void on_cancel() override { process_->cancel(); }
  void on_signal(int signal, uint32_t flags) override;
  void on_resize(uint32_t rows, uint32_t columns) override;
  bool quiet() const noexcept override { return true; }

 private:
  void on_process_started() override { send_started(process_->pid()); }
  void on_process_end() override { finish(process_->result()); }
  bool follows() const noexcept override { return false; }

  const std::shared_ptr<Process> process_;
};

/// A signal as SIGNAL frames and requests name it.
void signal_process(Process& process, int signal, uint32_t flags);

}  // namespace svm::agent
