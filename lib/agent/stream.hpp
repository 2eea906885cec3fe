// One request being served. The loop owns it, tells it what arrives, and gives it turns.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "protocol/frame.hpp"
#include "protocol/message.hpp"

namespace svm::agent {

class Loop;

inline constexpr int64_t kNoDeadline = INT64_MAX;
inline constexpr unsigned kStepEntries = 256;  // directory entries a stream handles in one turn

class Stream {
 public:
  Stream(Loop& loop, uint32_t id) noexcept : loop_(loop), id_(id) {}
  virtual ~Stream() = default;
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  uint32_t id() const noexcept { return id_; }
  bool finished() const noexcept { return finished_; }
  int64_t deadline() const noexcept { return deadline_; }

  // --- what the loop calls; each may end the stream with finish()
  virtual void start() = 0;
  virtual void on_data(std::string_view bytes) { consumed(bytes.size()); }  // nobody wants them
  virtual void on_end() {}
  virtual void on_cancel();
  virtual void on_signal(int signal, uint32_t flags) { (void)signal, (void)flags; }
  virtual void on_resize(uint32_t rows, uint32_t columns) { (void)rows, (void)columns; }
  /// Credit came, or the socket has room again.
  virtual void on_room() {}
  /// A bounded piece of work; true: another turn, please.
  virtual bool on_turn() { return false; }
  virtual void on_deadline() {}

  /// Waits for something that may take days, and needs no room meanwhile.
  virtual bool quiet() const noexcept { return false; }

  // --- accounting, done by the loop; false: the peer broke a rule
  bool take_data(size_t size) noexcept;
  bool take_end() noexcept { return !std::exchange(ended_, true); }
  bool add_credit(uint32_t bytes) noexcept;

 protected:
  /// Bytes of DATA this side may still send.
  uint64_t credit() const noexcept { return credit_; }
  /// Sends the first `size` (<= credit()) bytes of the connection's data().
  void send_data(protocol::DataKind kind, size_t size);
  /// Bytes that came with on_data are out of our hands: the host may send as many more.
  void consumed(size_t size);
  /// Tells the host that the command exists.
  void send_started(uint32_t pid);
  /// Asks for turns.
  void want_turn();
  void set_deadline(int64_t at_us) noexcept { deadline_ = at_us; }
  void finish(const protocol::Result& result);
  void finish_ok(std::string body = {});

  Loop& loop_;

 private:
  friend class Loop;
  const uint32_t id_;
  uint64_t credit_ = protocol::kWindow;
  uint64_t received_ = 0;   // bytes of DATA not yet granted back
  uint64_t grantable_ = 0;  // of those, consumed
  int64_t deadline_ = kNoDeadline;
  bool ended_ = false, finished_ = false, wants_turn_ = false;
};

}  // namespace svm::agent
