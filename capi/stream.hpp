// A stream as callers see it: chunks in order, one truth about readiness, and an end that is told once and for all.
#pragma once
#include <stacyvm/stacyvm.h>

#include <array>
#include <optional>
#include <string>

#include "channel/channel.hpp"
#include "guard.hpp"
#include "model/requests.hpp"
#include "source.hpp"

namespace svm::capi {

class Stream : public Source {
 public:
  struct Shape {
    int32_t kind = 0;  // STACYVM_STREAM_
    bool takes_bytes = false;
    bool text = false;    // STACYVM_EXEC_TEXT
    bool merged = false;  // one output: stacyvm_stream_read makes sense
    bool placed = false;  // positions are places in the whole output, and gaps may come
    int64_t from = 0;     // placed: where it begins
  };
  /// Call attach() once it is owned by a shared_ptr.
  Stream(std::shared_ptr<Session> session, std::shared_ptr<channel::Stream> below, Shape shape);
  ~Stream() override { end(); }

  /// The functions of the C ABI of the same name; they answer STACYVM_OK, _AGAIN or _END, or throw.
  int32_t next(const Deadline& deadline, stacyvm_chunk& out);
  int32_t read(const Deadline& deadline, void* to, uint64_t cap, uint64_t& n);
  int32_t write(const Deadline& deadline, const char* data, uint64_t size, uint64_t& n);
  int32_t finish(const Deadline& deadline);
  int32_t exec_result(stacyvm_exec_result& out);
  void send_signal(int signal, bool group);
  void resize(uint32_t rows, uint32_t columns);
  void cancel() noexcept;

  void end() noexcept override;
  int32_t kind() const noexcept { return shape_.kind; }
  /// Empty for a stream that is no command's.
  const std::string& exec_id() const noexcept { return exec_id_; }
  bool takes_bytes() const noexcept { return shape_.takes_bytes; }
  Session& session() const noexcept { return *session_; }

 private:
  enum class State { nothing, data, gap, exit, half, over, failed };

  uint32_t ready_now() noexcept override;
  State stage();
  channel::Stream::Next next_below(channel::Piece& piece);
  size_t write_below(const char* data, uint64_t size);
  void settle();
  bool readable() noexcept;
  void absorb(channel::Piece& piece);
  void require_running();
  bool stage_rest_of_text();
  State await(std::unique_lock<std::mutex>& lock, const Deadline& deadline);
  void on_change() noexcept;

  const Shape shape_;
  const std::string exec_id_;
  std::mutex ending_;                       // end() is over for everybody when it is over for one
  std::shared_ptr<channel::Stream> below_;  // gone after end()
  bool cancelled_ = false, finished_ = false;
  bool over_ = false;          // the Result is here
  bool exit_pending_ = false;  // an EXIT chunk is still to be delivered
  bool told_ = false;          // the end was delivered: exec_result may answer
  std::optional<Error> failure_;
  stacyvm_exec_result result_{};

  // At most one chunk is staged ahead; what was handed out lives on beside it.
  int32_t staged_kind_ = 0;
  std::string staged_, handed_out_;
  int64_t staged_position_ = -1;            // where the piece itself says where it stands
  size_t staged_from_ = 0;                  // bytes of staged_ that read() has taken
  std::array<std::string, 3> unfinished_;   // by chunk kind: the beginning of a UTF-8 character
  std::array<int64_t, 3> position_{};       // by chunk kind: bytes delivered
  int64_t place_ = 0;                       // placed: where the next byte belongs
  bool gap_ = false;                        // a GAP is to be delivered, with place_
};

/// What the streams of each operation are like.
Stream::Shape exec_shape(const model::ExecRequest& request);
Stream::Shape attach_shape(const model::ExecAttachRequest& request);
Stream::Shape console_shape();

/// Wraps what the gate started into a handle.
stacyvm_stream* make_stream(const std::shared_ptr<Session>& session, std::shared_ptr<channel::Stream> below, Stream::Shape shape);

}  // namespace svm::capi

struct stacyvm_stream : svm::capi::Handle<svm::capi::Stream, 0x6d727473> {
  using Handle::Handle;
};
