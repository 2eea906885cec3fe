// One command: its process, its pipes or its terminal, and everything that can end it. Not what carries its output: a foreground
// command hands that to its stream as it comes, and waits while the stream has no room; a background command's flows into a ring,
// from which any number of streams read.
#pragma once
#include <sys/resource.h>

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "agent/launch.hpp"
#include "agent/loop.hpp"
#include "agent/process_tree.hpp"
#include "agent/ring.hpp"

namespace svm::agent {

/// After the command's own process has ended, something it left behind may still hold its output open. The command is over
/// when that has been silent for kQuietUs, at the latest kDrainUs after the end (what was there then is always sent).
inline constexpr int64_t kQuietUs = 100'000;
inline constexpr int64_t kDrainUs = 1'000'000;

/// When the report of a new child is looked at for the first time, unless output or its end come before: most commands are
/// over by then, and each look less is a wake-up less, for us and for the host.
inline constexpr int64_t kReportCheckUs = 1'000;

/// How long a command, and what it started, has between the hang-up of its terminal and its kill.
inline constexpr int64_t kHangUpUs = 250'000;
inline constexpr int64_t kHangUpLookUs = 10'000;  // between two looks whether what the command left has ended

inline constexpr size_t kMaxAttached = 16;  // streams attached to one command
inline constexpr size_t kDefaultRingBytes = 256 * 1024;  // of a background command's output
static_assert(kDefaultRingBytes >= protocol::kMinRingBytes && kDefaultRingBytes <= protocol::kMaxRingBytes);
inline constexpr size_t kCommandHeadBytes = protocol::kMaxCommandHead;  // of a command line, in the process list

/// Told about a command; each way out of being told is unwatch().
class ProcessWatcher {
 public:
  virtual void on_process_started() {}
  virtual void on_process_output() {}  // the ring has more
  virtual void on_process_end() = 0;   // result() is there
  /// False: it waits for the end alone, on the host's own behalf, and is nobody who is attached.
  virtual bool follows() const noexcept { return true; }

 protected:
  ~ProcessWatcher() = default;
};

/// Where a foreground command's output goes.
class OutputSink {
 public:
  /// How many bytes may come now. 0: the command waits, until resume_output().
  virtual size_t output_room() = 0;
  /// The first `size` bytes of the connection's data().
  virtual void on_output(protocol::DataKind kind, size_t size) = 0;

 protected:
  ~OutputSink() = default;
};

/// Who wrote bytes for a command's input.
class InputSource {
 public:
  virtual void input_taken(size_t size) = 0;

 protected:
  ~InputSource() = default;
};

class Process final : private Ready {
 public:
  /// Without a sink it runs in the background.
  Process(Loop& loop, protocol::ExecRequest&& request, OutputSink* sink);
  ~Process();

  /// What goes wrong here is its end. Once.
  void start();
  /// Ends it before it was started.
  void refuse(const protocol::Result& why) { conclude(why); }

  const std::string& id() const noexcept { return id_; }
  uint32_t pid() const noexcept { return reported_ && started_ ? static_cast<uint32_t>(pid_) : 0; }
  bool background() const noexcept { return background_; }
  bool ended() const noexcept { return ended_; }
  const protocol::Result& result() const noexcept { return result_; }
  const Ring& ring() const noexcept { return ring_; }
  protocol::ProcessInfo info() const;

  /// At most kMaxAttached; false: no more.
  bool watch(ProcessWatcher& watcher);
  void unwatch(ProcessWatcher& watcher) noexcept;

  /// Bytes for its standard input or terminal. `source` hears when they are out of our hands, until forget(source).
  void write(InputSource& source, std::string_view bytes);
  /// End of its input. On a terminal: the end-of-file character is typed, twice where a line was begun, and nothing where the
  /// program reads keys as they come.
  void end_input();
  void forget(InputSource& source) noexcept;

  /// The sink has room again.
  void resume_output();
  void signal(int signal, bool group);
  /// Error of the call, also where there is no terminal (-ENOTTY). 0 or -errno.
  int resize(uint32_t rows, uint32_t columns) noexcept;
  /// One of the sandbox's out-of-memory kills, of which there have been `kills`, was of another command.
  void discount_oom_kill(uint64_t kills) noexcept { oom_kills_ += oom_kills_ < kills; }
  /// Ends it as cancelled, with all that descends from it. A terminal is hung up first: the command has ended when what it left has, too.
  void cancel();
  /// Its stream is gone: nobody is left to tell how it ends.
  void abandon();

  // --- for the loop
  int64_t deadline() const noexcept { return deadline_; }
  void on_deadline();
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
  struct Written {
    InputSource* source;  // nullptr: gone meanwhile
    size_t size;
  };

  void on_ready(int tag, uint32_t events) override;
  int make_stdio(ChildFds& child);
  int make_pipes(ChildFds& child);
  void read_report();
  void started();
  void refuse_launch(const LaunchReport& report);
  void write_input();
  bool type_end_of_input();
  void input_taken(size_t size);
  /// Reads once; false: nothing there, no room, or the end.
  bool read_output(Output& output, protocol::DataKind kind);
  void arm(Output& output, uint32_t events);
  void drain();
  void close_outputs();
  void kill(protocol::ExecReason reason);
  void kill_hung_up();
  void maybe_conclude();
  protocol::ExecResult exec_result() const;
  void update_deadline();
  void set_deadline(int64_t at_us) noexcept { deadline_ = at_us; }
  void conclude(const protocol::Result& result);

  Loop& loop_;
  protocol::ExecRequest request_;
  const std::string id_;
  std::string command_;
  const bool background_;
  OutputSink* const sink_;
  std::vector<ProcessWatcher*> watchers_;
  std::unique_ptr<Launch> launch_;  // until the report
  pid_t pid_ = 0;
  bool reported_ = false, started_ = false, exited_ = false, killed_ = false, ended_ = false;
  bool host_killed_ = false;  // the host sent SIGKILL: no out-of-memory kill needs to be looked for
  bool oom_killed_ = false;
  protocol::ExecReason killed_for_{};
  std::vector<ProcessStat> hung_up_;  // who lost the terminal, from the hang-up on
  int status_ = 0;
  rusage usage_{};
  int64_t started_us_ = 0, ended_us_ = 0, timeout_us_ = kNoDeadline, hang_up_us_ = kNoDeadline, report_check_us_ = kNoDeadline;
  int64_t last_output_us_ = 0, deadline_ = kNoDeadline, started_wall_ms_ = 0;
  uint64_t output_ = 0, err_bytes_ = 0, oom_kills_ = 0;  // err_bytes_: of output_
  uint64_t pending_signals_[2] = {0, 0};  // came before the command existed: to the leader, to its group
  Fd report_, input_;
  Watch report_watch_, input_watch_;
  std::string unread_;     // bytes for the command's stdin
  size_t unread_at_ = 0;
  std::deque<Written> written_;  // whose they are
  char last_input_ = '\n';
  bool input_ended_ = false;
  Output out_, err_;       // a terminal is `out`
  Ring ring_;
  protocol::Result result_;
};

}  // namespace svm::agent
