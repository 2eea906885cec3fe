// One command: its process, its three pipes, and everything that can end it.
#pragma once
#include <sys/resource.h>

#include <memory>
#include <string>

#include "agent/launch.hpp"
#include "agent/loop.hpp"
#include "agent/stream.hpp"

namespace svm::agent {

/// After the command's own process has ended, something it left behind may still hold its output pipes. The stream ends
/// when they have been silent for kQuietUs, at the latest kDrainUs after the end (what was in the pipes then is always sent).
inline constexpr int64_t kQuietUs = 100'000;
inline constexpr int64_t kDrainUs = 1'000'000;

/// When the report of a new child is looked at for the first time, unless output or its end come before: most commands are
/// over by then, and each look less is a wake-up less, for us and for the host.
inline constexpr int64_t kReportCheckUs = 1'000;

class Exec final : public Stream, private Ready {
 public:
  Exec(Loop& loop, uint32_t id, protocol::ExecRequest&& request);
  ~Exec() override;

  void start() override;
  void on_data(std::string_view bytes) override;
  void on_end() override;
  void on_cancel() override;
  void on_signal(int signal, bool group) override;
  void on_room() override;
  void on_deadline() override;
  /// The leader was reaped.
  void on_exit(int status, const rusage& usage);

 private:
  enum Tag { kReport, kIn, kOut, kErr };
  struct Output {
    Fd pipe;
    Watch watch;
    size_t owed = 0;  // bytes that were in the pipe when the leader ended
    bool open() const noexcept { return pipe.valid(); }
  };

  void on_ready(int tag, uint32_t events) override;
  int make_pipes(ChildFds& child);
  void read_report();
  void started();
  void refuse(const LaunchReport& report);
  void write_input();
  /// Reads once; false: nothing there, no room, or the end.
  bool read_output(Output& output, protocol::DataKind kind);
  void arm(Output& output, uint32_t events);
  void drain();
  void close_outputs();
  /// Ends the command and all that descends from it (see kill_tree).
  void kill(protocol::ExecReason reason);
  void maybe_finish();
  void update_deadline();

  protocol::ExecRequest request_;
  std::unique_ptr<Launch> launch_;  // until the report
  pid_t pid_ = 0;
  bool reported_ = false, exited_ = false, killed_ = false;
  protocol::ExecReason killed_for_{};
  int status_ = 0;
  rusage usage_{};
  int64_t started_us_ = 0, ended_us_ = 0, timeout_us_ = kNoDeadline, report_check_us_ = kNoDeadline, last_output_us_ = 0;
  uint64_t output_ = 0, oom_kills_ = 0;
  uint64_t pending_signals_[2] = {0, 0};  // came before the command existed: to the leader, to its group
  Fd report_, input_;
  Watch report_watch_, input_watch_;
  std::string unread_;     // bytes for the command's stdin
  size_t unread_at_ = 0;
  bool input_ended_ = false;
  Output out_, err_;
};

}  // namespace svm::agent
