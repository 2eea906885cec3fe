// The host's side for tests: starts agent::run in a process of its own over a socketpair and speaks the protocol, blocking.
#pragma once
#include <sys/types.h>

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "agent/agent.hpp"
#include "core/fd.hpp"
#include "protocol/frame.hpp"
#include "protocol/message.hpp"

namespace svm::agent::test {

/// What came for one stream.
struct Reply {
  std::string out, err, bytes;
  std::string both;                     // out and err in order
  std::vector<std::pair<size_t, uint64_t>> gaps;  // bytes of `both` before it, the position it names
  std::vector<protocol::Entry> entries;
  std::vector<protocol::WatchEvent> events;
  uint32_t pid = 0;
  bool ended = false;  // END came: no more bytes
  bool done = false;
  protocol::Result result;
  protocol::ExecResult exec() const;   // of result.body
  protocol::FileInfo info() const;
  std::vector<protocol::ProcessInfo> processes() const;
  uint64_t window = protocol::kWindow; // bytes we may send
};

class Client {
 public:
  struct Setup {
    AgentOptions options;      // channel is filled in
    protocol::Hello hello;
    int close_in_agent = -1;   // a descriptor that only the test keeps
    std::function<void()> before_run;  // in the agent's process
    bool process_one = false;          // in pid and mount namespaces of its own, with its own /proc
    uint32_t rootless_uid = 0;         // process_one as this user, who becomes 0 in a user namespace with one id
    Setup();                   // this user, one id, cwd "/", PATH
  };
  explicit Client(Setup setup = Setup());
  ~Client();

  uint32_t open(const std::string& request);
  template <class Request>
  uint32_t start(const Request& request) {
    std::string payload;
    protocol::encode(payload, request);
    return open(payload);
  }
  /// Sends the request and waits for its result.
  template <class Request>
  Reply call(const Request& request) { return wait(start(request)); }
  Reply write_file(protocol::WriteRequest request, const std::string& bytes);
  /// Waits for the stream's result.
  Reply wait(uint32_t stream, int timeout_ms = 20000);
  /// Sends under the peer's credit.
  void send_bytes(uint32_t stream, const std::string& bytes);
  void end(uint32_t stream) { frame(protocol::FrameType::end, stream, {}); }
  void cancel(uint32_t stream) { frame(protocol::FrameType::cancel, stream, {}); }
  void signal(uint32_t stream, uint32_t number, bool group);
  void kill(uint32_t stream);  // the command and all that descends from it
  void resize(uint32_t stream, uint32_t rows, uint32_t columns);
  void frame(protocol::FrameType type, uint32_t stream, const std::string& payload, protocol::DataKind kind = {});
  void raw(const std::string& bytes);
  /// Reads frames until `until` is true or the time is over; false: it was over, or the connection ended.
  bool pump(const std::function<bool()>& until, int timeout_ms = 20000);
  void close_channel() { channel_.reset(); }
  /// Lets the channel hold so many bytes that nobody has read. False: this user may not.
  bool widen_channel(int bytes);
  /// The agent's exit status.
  int wait_exit();
  bool connected() const { return !ended_; }

  Reply& reply(uint32_t stream) { return replies_[stream]; }
  bool grant = true;  // give credit back for what comes
  protocol::Ready ready;
  protocol::StepFailure failed;

 private:
  bool receive(int timeout_ms);
  void send_now(const std::string& bytes);
  Fd channel_;
  bool sending_ = false;
  std::string queued_;
  pid_t pid_ = 0;
  std::string in_;
  bool ended_ = false, got_ready_ = false;
  uint32_t next_ = 1;
  std::map<uint32_t, Reply> replies_;
};

/// A directory below the temporary one, removed with all it holds.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

protocol::ExecRequest shell(const std::string& script);
std::string read_text(const std::string& path);
void write_text(const std::string& path, const std::string& text);
/// A child in a user namespace of its own: 0 there, its number or -1 here.
pid_t clone_into_user_namespace();
/// In the child that becomes the agent: _exit with a message naming the step that failed.
void must(bool ok, const char* step);
/// Whether this process may become other users (else a reason was printed).
bool can_switch_users();

}  // namespace svm::agent::test
