#include "stream.hpp"

#include <algorithm>
#include <cstring>

#include "core/bytes.hpp"
#include "gate/exchange.hpp"
#include "options.hpp"
#include "utf8.hpp"

namespace svm::capi {
namespace {

int32_t chunk_kind(protocol::DataKind kind) noexcept {
  switch (kind) {
    case protocol::DataKind::out: return STACYVM_CHUNK_STDOUT;
    case protocol::DataKind::err: return STACYVM_CHUNK_STDERR;
    case protocol::DataKind::event: return STACYVM_CHUNK_EVENT;
    default: return STACYVM_CHUNK_BYTES;
  }
}

int32_t reason_number(protocol::ExecReason reason) noexcept { return static_cast<int32_t>(reason); }
static_assert(static_cast<int32_t>(protocol::ExecReason::exited) == STACYVM_REASON_EXITED);
static_assert(static_cast<int32_t>(protocol::ExecReason::signalled) == STACYVM_REASON_SIGNALLED);
static_assert(static_cast<int32_t>(protocol::ExecReason::timeout) == STACYVM_REASON_TIMEOUT);
static_assert(static_cast<int32_t>(protocol::ExecReason::oom) == STACYVM_REASON_OOM);
static_assert(static_cast<int32_t>(protocol::ExecReason::output_limit) == STACYVM_REASON_OUTPUT_LIMIT);
static_assert(static_cast<int32_t>(protocol::ExecReason::cancelled) == STACYVM_REASON_CANCELLED);

}  // namespace

Stream::Stream(std::shared_ptr<Session> session, std::shared_ptr<channel::Stream> below, Shape shape)
    : Source(std::move(session)), shape_(shape), exec_id_(below->exec_id()), below_(std::move(below)), place_(shape.from) {
  below_->set_notify([this] { on_change(); });  // removed by end(), which the destructor calls
}

void Stream::on_change() noexcept {
  const std::lock_guard lock(mutex_);
  wake();
}

void Stream::end() noexcept {
  const std::lock_guard once(ending_);
  std::shared_ptr<channel::Stream> below;
  {
    const std::lock_guard lock(mutex_);
    below = std::move(below_);
    below_.reset();
    wake();
  }
  if (!below) return;
  below->set_notify({});  // outside mutex_: the hook may be waiting for it
  below.reset();          // cancels what still runs
}

void Stream::cancel() noexcept {
  const std::lock_guard once(ending_);  // below_ stays
  {
    const std::lock_guard lock(mutex_);
    if (told_ || cancelled_ || !below_) return;
    cancelled_ = true;
    wake();
  }
  below_->kill();
}

/// Looks for the next thing to deliver, and prepares it. mutex_ is held.
Stream::State Stream::stage() {
  if (!below_ || cancelled_) {
    if (!below_) {
      failure_.emplace(Code::closed, "the session or instance of the stream is closed");
    } else {
      failure_.emplace(Code::cancelled, "the stream was cancelled");
    }
    return State::failed;
  }
  while (staged_.empty() && !gap_ && !over_) {
    channel::Piece piece;
    switch (next_below(piece)) {
      case channel::Stream::Next::again: return State::nothing;
      case channel::Stream::Next::half: return State::half;
      case channel::Stream::Next::piece: absorb(piece); break;
      case channel::Stream::Next::end: settle(); break;
    }
  }
  if (gap_) return State::gap;
  if (!staged_.empty() || stage_rest_of_text()) return State::data;
  if (failure_) return State::failed;
  return exit_pending_ ? State::exit : State::over;
}

void Stream::absorb(channel::Piece& piece) {
  if (piece.kind == protocol::DataKind::gap) {
    place_ = static_cast<int64_t>(ByteReader(piece.data).u64());
    gap_ = true;
    return;
  }
  staged_kind_ = chunk_kind(piece.kind);
  staged_position_ = piece.position;
  staged_from_ = 0;
  if (!shape_.text) {
    staged_ = std::move(piece.data);
    return;
  }
  std::string& carry = unfinished_[static_cast<size_t>(staged_kind_)];
  carry += piece.data;
  const size_t whole = utf8_boundary(carry);
  staged_ = carry.substr(0, whole);
  carry.erase(0, whole);
}

/// At the end a character that was never finished is delivered as it is: bytes are not lost.
bool Stream::stage_rest_of_text() {
  for (size_t kind = 0; kind < unfinished_.size(); ++kind) {
    if (unfinished_[kind].empty()) continue;
    staged_kind_ = static_cast<int32_t>(kind);
    staged_from_ = 0;
    staged_ = std::exchange(unfinished_[kind], {});
    return true;
  }
  return false;
}

/// What goes wrong below, such as an outcome that cannot be recorded, is the stream's end: it must not be lost to whoever looked first.
channel::Stream::Next Stream::next_below(channel::Piece& piece) try {
  return below_->next(0, piece);
} catch (const Error& error) {
  failure_ = error;
  over_ = true;
  return channel::Stream::Next::end;
}

void Stream::settle() {
  if (over_) return;
  over_ = true;
  const protocol::Result* result = below_->result();
  protocol::ExecResult exec;
  if (!result) {
    failure_.emplace(Code::internal, "the stream ended without a result");
  } else if (result->code != Code::ok) {
    failure_ = gate::result_error(*result);
  } else if (shape_.kind != STACYVM_STREAM_EXEC) {
    return;
  } else if (!protocol::decode(result->body, exec)) {
    failure_.emplace(Code::internal, "the agent's exec result is malformed");
  } else {
    result_.exit_code = exec.exit_code;
    result_.signal = exec.signal;
    result_.reason = reason_number(exec.reason);
    result_.wall_us = static_cast<int64_t>(exec.wall_us);
    result_.cpu_us = static_cast<int64_t>(exec.cpu_us);
    result_.memory_peak_bytes = exec.memory_peak;
    exit_pending_ = true;
  }
}

uint32_t Stream::ready_now() noexcept {
  uint32_t ready = readable() ? STACYVM_READY_READ : 0;
  if (shape_.takes_bytes && (cancelled_ || !below_ || finished_ || over_ || below_->writable())) ready |= STACYVM_READY_WRITE;
  return ready;
}

bool Stream::readable() noexcept {
  if (cancelled_ || !below_ || over_ || gap_ || !staged_.empty()) return true;
  if (!shape_.text || !below_->readable()) return below_->readable();
  // What has come may be no more than the beginning of a character.
  try {
    return stage() != State::nothing;
  } catch (const std::bad_alloc&) {
    return true;  // the next call meets the same and reports it
  }
}

/// Waits for the next thing to deliver; State::nothing when the time is over. Throws what ended the stream.
Stream::State Stream::await(std::unique_lock<std::mutex>& lock, const Deadline& deadline) {
  for (bool last = false;; last = !deadline.wait(lock, changed_)) {
    const State state = stage();
    if (state == State::failed) {
      told_ = true;
      throw Error(*failure_);
    }
    if (state == State::nothing) publish();
    if (state != State::nothing || last) return state;
  }
}

int32_t Stream::next(const Deadline& deadline, stacyvm_chunk& out) {
  std::unique_lock lock(mutex_);
  stacyvm_chunk chunk{};
  switch (await(lock, deadline)) {
    case State::nothing: return STACYVM_E_AGAIN;
    case State::half: return STACYVM_E_END;
    case State::over: told_ = true; return STACYVM_E_END;
    case State::gap:
      gap_ = false;
      chunk.kind = STACYVM_CHUNK_GAP;
      chunk.position = place_;
      break;
    case State::exit:
      exit_pending_ = false;
      told_ = true;
      chunk.kind = STACYVM_CHUNK_EXIT;
      chunk.exit_code = result_.exit_code;
      chunk.signal = result_.signal;
      break;
    default: {
      handed_out_ = std::exchange(staged_, {});
      chunk.kind = staged_kind_;
      chunk.data = handed_out_.data() + staged_from_;
      chunk.size = handed_out_.size() - staged_from_;
      if (staged_position_ >= 0) {  // an event brings its own
        chunk.position = staged_position_;
        break;
      }
      int64_t& position = position_[static_cast<size_t>(staged_kind_)];
      chunk.position = shape_.placed ? place_ : position;
      position += static_cast<int64_t>(chunk.size);
      place_ += static_cast<int64_t>(chunk.size);
    }
  }
  publish();
  write_result(&out, chunk);
  return STACYVM_OK;
}

int32_t Stream::read(const Deadline& deadline, void* to, uint64_t cap, uint64_t& n) {
  if (shape_.placed) throw invalid("st", "gaps may come, which only stacyvm_stream_next tells");
  if (shape_.kind == STACYVM_STREAM_EXEC && !shape_.merged)
    throw invalid("st", "a command with two outputs: use stacyvm_stream_next, or STACYVM_EXEC_MERGE");
  if (shape_.kind == STACYVM_STREAM_EVENTS || shape_.kind == STACYVM_STREAM_WATCH)
    throw invalid("st", "a stream of events has no bytes: use stacyvm_stream_next");
  std::unique_lock lock(mutex_);
  switch (await(lock, deadline)) {
    case State::nothing: return STACYVM_E_AGAIN;
    case State::half: return STACYVM_E_END;
    case State::exit: exit_pending_ = false; [[fallthrough]];
    case State::over:
      told_ = true;
      publish();
      return STACYVM_E_END;
    default: break;
  }
  const size_t size = std::min<uint64_t>(cap, staged_.size() - staged_from_);
  std::memcpy(to, staged_.data() + staged_from_, size);
  staged_from_ += size;
  position_[static_cast<size_t>(staged_kind_)] += static_cast<int64_t>(size);
  if (staged_from_ == staged_.size()) {
    staged_.clear();
    publish();
  }
  n = size;
  return STACYVM_OK;
}

int32_t Stream::write(const Deadline& deadline, const char* data, uint64_t size, uint64_t& n) {
  if (!shape_.takes_bytes) throw invalid("st", "the stream takes no bytes");
  std::unique_lock lock(mutex_);
  uint64_t done = 0;
  while (true) {
    const State state = shape_.kind == STACYVM_STREAM_WRITER || cancelled_ || !below_ ? stage() : State::nothing;
    if (state == State::failed) throw Error(*failure_);  // why no more is taken, rather than that
    if (finished_) throw Error(Code::closed, "stacyvm_stream_finish was called before");
    if (state != State::nothing) throw Error(Code::closed, "the other side takes no more");
    if (done < size) done += write_below(data + done, size - done);
    if (done == size || !deadline.wait(lock, changed_)) break;
  }
  publish();
  if (done == 0 && size > 0) return STACYVM_E_AGAIN;
  n = done;
  return STACYVM_OK;
}

/// A connection that broke says how, where all that came before it has been read; a file that is refused just now says why.
size_t Stream::write_below(const char* data, uint64_t size) try {
  return below_->write(data, size, 0);
} catch (const Error& error) {
  const bool broken = shape_.kind == STACYVM_STREAM_PORT || shape_.kind == STACYVM_STREAM_WRITER;
  if (broken && error.code() == Code::closed && stage() == State::failed) throw Error(*failure_);
  throw;
}

int32_t Stream::finish(const Deadline& deadline) {
  if (!shape_.takes_bytes) throw invalid("st", "the stream takes no bytes");
  std::unique_lock lock(mutex_);
  const bool writer = shape_.kind == STACYVM_STREAM_WRITER;
  if (writer || cancelled_ || !below_) {
    if (stage() == State::failed) throw Error(*failure_);
  }
  if (!finished_) {
    if (!over_) below_->finish();
    finished_ = true;
    publish();
  }
  if (!writer) return STACYVM_OK;
  return await(lock, deadline) == State::nothing ? STACYVM_E_AGAIN : STACYVM_OK;
}

int32_t Stream::exec_result(stacyvm_exec_result& out) {
  if (shape_.kind != STACYVM_STREAM_EXEC) throw invalid("st", "not an exec stream");
  const std::lock_guard lock(mutex_);
  if (cancelled_ || !below_) stage();
  if (failure_ && (told_ || cancelled_ || !below_)) throw Error(*failure_);
  if (!told_) return STACYVM_E_AGAIN;
  stacyvm_exec_result result = result_;
  result.stdout_size = static_cast<uint64_t>(position_[STACYVM_CHUNK_STDOUT]);
  result.stderr_size = static_cast<uint64_t>(position_[STACYVM_CHUNK_STDERR]);
  write_result(&out, result);
  return STACYVM_OK;
}

/// Throws what forbids to act on the command. ending_ is held.
void Stream::require_running() {
  const std::lock_guard lock(mutex_);
  if (cancelled_ || !below_) {
    stage();
    throw Error(*failure_);
  }
  if (over_) throw Error(Code::closed, "the command has ended");
}

void Stream::send_signal(int signal, bool group) {
  const std::lock_guard once(ending_);  // below_ stays
  require_running();
  below_->send_signal(signal, group);
}

void Stream::resize(uint32_t rows, uint32_t columns) {
  const std::lock_guard once(ending_);
  require_running();
  below_->resize(rows, columns);
}

Stream::Shape exec_shape(const model::ExecRequest& request) {
  Stream::Shape shape;
  shape.kind = STACYVM_STREAM_EXEC;
  shape.takes_bytes = request.use_stdin || request.tty;
  shape.placed = request.background;
  shape.merged = (request.merge || request.tty) && !shape.placed;
  return shape;
}

Stream::Shape attach_shape(const model::ExecAttachRequest& request) {
  Stream::Shape shape;
  shape.kind = STACYVM_STREAM_EXEC;
  shape.takes_bytes = shape.placed = true;
  shape.from = request.from_offset >= INT64_MAX ? 0 : static_cast<int64_t>(request.from_offset);  // a gap tells the place first
  return shape;
}

Stream::Shape console_shape() {
  Stream::Shape shape;
  shape.kind = STACYVM_STREAM_CONSOLE;
  shape.placed = true;
  return shape;
}

stacyvm_stream* make_stream(const std::shared_ptr<Session>& session, std::shared_ptr<channel::Stream> below, Stream::Shape shape) {
  auto stream = std::make_shared<Stream>(session, std::move(below), shape);
  auto handle = make_handle<stacyvm_stream>(stream);
  session->adopt(stream);
  return handle.release();
}

}  // namespace svm::capi

using namespace svm;
using namespace svm::capi;

int32_t stacyvm_stream_next(stacyvm_stream* st, int64_t timeout_ms, stacyvm_chunk* out, stacyvm_error** err) {
  return guard(err, [&] {
    Stream& stream = *core_of(st, "st");
    const Deadline deadline(timeout_ms);
    check_result(out, "out");
    return stream.next(deadline, *out);
  });
}

int32_t stacyvm_stream_read(stacyvm_stream* st, void* buf, uint64_t cap, int64_t timeout_ms, uint64_t* n, stacyvm_error** err) {
  return guard(err, [&] {
    Stream& stream = *core_of(st, "st");
    const Deadline deadline(timeout_ms);
    require_output(buf, "buf");
    require_output(n, "n");
    if (cap == 0) throw invalid("cap", "zero");
    return stream.read(deadline, buf, cap, *n);
  });
}

int32_t stacyvm_stream_write(stacyvm_stream* st, const void* data, uint64_t size, int64_t timeout_ms, uint64_t* n, stacyvm_error** err) {
  return guard(err, [&] {
    Stream& stream = *core_of(st, "st");
    const Deadline deadline(timeout_ms);
    if (!data && size > 0) throw invalid("data", "NULL, but size is not zero");
    require_output(n, "n");
    return stream.write(deadline, static_cast<const char*>(data), size, *n);
  });
}

int32_t stacyvm_stream_finish(stacyvm_stream* st, int64_t timeout_ms, stacyvm_error** err) {
  return guard(err, [&] {
    Stream& stream = *core_of(st, "st");
    return stream.finish(Deadline(timeout_ms));
  });
}

int32_t stacyvm_stream_fd(stacyvm_stream* st, int32_t for_write) {
  if (!is_handle(st) || is_inherited(st) || (for_write != 0 && for_write != 1)) return -1;
  if (for_write == 1 && !st->core->takes_bytes()) return -1;
  return st->core->fd(for_write == 1 ? STACYVM_READY_WRITE : STACYVM_READY_READ);
}

int32_t stacyvm_stream_kind(const stacyvm_stream* st) { return is_handle(st) ? st->core->kind() : 0; }

void stacyvm_stream_cancel(stacyvm_stream* st) {
  if (is_handle(st) && !is_inherited(st)) st->core->cancel();
}

void stacyvm_stream_close(stacyvm_stream* st) {
  close_handle(st, [](Stream& stream) {
    stream.leave_queue();
    stream.end();
    stream.session().forget(stream);
  });
}
