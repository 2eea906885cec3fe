// The agent's one loop: everything waits here and nothing waits anywhere else.
#pragma once
#include <memory>
#include <unordered_map>
#include <vector>

#include "agent/agent.hpp"
#include "agent/connection.hpp"
#include "agent/failure.hpp"
#include "agent/identity.hpp"
#include "agent/path.hpp"
#include "agent/stream.hpp"
#include "agent/uploads.hpp"
#include "core/fd.hpp"
#include "protocol/message.hpp"

namespace svm::agent {

class Process;
class ProcessTable;

/// Told when a watched descriptor is ready. `tag` is the one it was watched with.
class Ready {
 public:
  virtual void on_ready(int tag, uint32_t events) = 0;

 protected:
  ~Ready() = default;
};

/// An entry of the loop's epoll set. Events that were already fetched when a watch stops are dropped.
class Watch {
 public:
  Watch() noexcept = default;
  ~Watch() { stop(); }
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;
  /// 0 or -errno.
  int start(Loop& loop, int fd, uint32_t events, Ready& ready, int tag);
  /// Level-triggered interest; 0 waits for nothing, not even for errors. 0 or -errno.
  int set(uint32_t events) noexcept;
  void stop() noexcept;

 private:
  friend class Loop;
  Loop* loop_ = nullptr;
  Ready* ready_ = nullptr;
  uint64_t token_ = 0;
  int fd_ = -1, tag_ = 0;
  uint32_t events_ = 0;
};

/// What a sandbox is, for every request.
struct Context {
  protocol::Hello hello;
  AgentOptions options;
  Rights rights;
  Root root;
  protocol::Ready ready{};  // what the host was told
};

class Loop final : public Ready {
 public:
  enum class End { closed, malformed, failed };

  Loop(Context& context, Connection& connection);
  ~Loop();
  /// SIGCHLD is blocked. Serves until the channel or `life` ends.
  End run();

  const Context& context() const noexcept { return context_; }
  Connection& connection() noexcept { return connection_; }
  ProcessTable& processes() noexcept { return *processes_; }

  // --- for streams
  void add_turn(uint32_t stream) { turns_.push_back(stream); }
  void retire(uint32_t stream) { retired_.push_back(stream); }
  void add_leader(int pid, Process& process) { leaders_[pid] = &process; }
  void remove_leader(int pid) { leaders_.erase(pid); }
  bool has_leaders() const noexcept { return !leaders_.empty(); }
  /// What all watches of files together hold of the kernel.
  struct FileWatches {
    size_t streams = 0, directories = 0;
  };
  FileWatches& file_watches() noexcept { return file_watches_; }
  Uploads& uploads() noexcept { return uploads_; }

 private:
  friend class Watch;
  void on_ready(int tag, uint32_t events) override;
  int open();
  void settle();
  int wait_ms() const;
  void read_channel();
  void lose_peer();
  void take_peer();
  bool resume(const protocol::Frame& frame);
  bool dispatch(const protocol::Frame& frame);
  bool open_stream(const protocol::Frame& frame);
  void reap();
  void take_turns();
  void fire_deadlines();
  void bury();
  void update_channel_interest();

  Context& context_;
  Connection& connection_;
  Fd epoll_, signals_;
  std::unordered_map<uint64_t, Watch*> watches_;  // outlives all watches: each leaves it when it stops
  uint64_t next_token_ = 1;
  Watch channel_watch_, signal_watch_, life_watch_, control_watch_;
  std::unordered_map<int, Process*> leaders_;
  FileWatches file_watches_;  // outlives streams_
  Uploads uploads_;           // the same
  std::unique_ptr<ProcessTable> processes_;  // after what its watches and leaders are in
  std::unordered_map<uint32_t, std::unique_ptr<Stream>> streams_;
  std::vector<uint32_t> turns_, retired_;
  bool resuming_ = false;  // a further peer has not said who it is yet
  bool ended_ = false;
  End end_ = End::closed;
};

/// The stream that serves a request.
std::unique_ptr<Stream> make_stream(Loop& loop, uint32_t id, protocol::Request&& request);
std::unique_ptr<Stream> make_exec(Loop& loop, uint32_t id, protocol::ExecRequest&& request);
std::unique_ptr<Stream> make_attach(Loop& loop, uint32_t id, protocol::AttachRequest&& request);
std::unique_ptr<Stream> make_console(Loop& loop, uint32_t id, const protocol::ConsoleRequest& request);
std::unique_ptr<Stream> make_process_list(Loop& loop, uint32_t id, protocol::Request&& request);
std::unique_ptr<Stream> make_process_signal(Loop& loop, uint32_t id, protocol::Request&& request);
std::unique_ptr<Stream> make_read(Loop& loop, uint32_t id, protocol::ReadRequest&& request);
std::unique_ptr<Stream> make_write(Loop& loop, uint32_t id, protocol::WriteRequest&& request);
std::unique_ptr<Stream> make_list(Loop& loop, uint32_t id, protocol::ListRequest&& request);
std::unique_ptr<Stream> make_glob(Loop& loop, uint32_t id, protocol::GlobRequest&& request);
std::unique_ptr<Stream> make_search(Loop& loop, uint32_t id, protocol::SearchRequest&& request);
std::unique_ptr<Stream> make_replace(Loop& loop, uint32_t id, protocol::ReplaceRequest&& request);
std::unique_ptr<Stream> make_chmod(Loop& loop, uint32_t id, protocol::ChmodRequest&& request);
std::unique_ptr<Stream> make_copy(Loop& loop, uint32_t id, protocol::CopyRequest&& request);
std::unique_ptr<Stream> make_remove(Loop& loop, uint32_t id, protocol::RemoveRequest&& request);
std::unique_ptr<Stream> make_watch(Loop& loop, uint32_t id, protocol::WatchRequest&& request);
std::unique_ptr<Stream> make_pack(Loop& loop, uint32_t id, protocol::PackRequest&& request);
std::unique_ptr<Stream> make_unpack(Loop& loop, uint32_t id, protocol::UnpackRequest&& request);
std::unique_ptr<Stream> make_dial(Loop& loop, uint32_t id, protocol::DialRequest&& request);
std::unique_ptr<Stream> make_listening(Loop& loop, uint32_t id, protocol::ListeningRequest&& request);
std::unique_ptr<Stream> make_stats(Loop& loop, uint32_t id);

}  // namespace svm::agent
