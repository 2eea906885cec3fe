// Streams that read a ring: a background command's output, and the console.
#include "agent/exec.hpp"
#include "agent/failure.hpp"
#include "agent/process_table.hpp"
#include "core/bytes.hpp"

namespace svm::agent {
namespace {

constexpr size_t kPieceBytes = 64 * 1024;
constexpr int kPiecesPerTurn = 4;
constexpr size_t kGapBytes = sizeof(uint64_t);

/// Sends a ring from a position on, under credit. Bytes that are gone are told as a gap.
class RingStream : public Stream {
 public:
  using Stream::Stream;
  void on_room() override { want_turn(); }

 protected:
  /// With `told` the first frame says where it begins.
  void begin_at(uint64_t position, bool told) noexcept {
    position_ = position;
    gap_ = told;
  }
  uint64_t position() const noexcept { return position_; }
  /// True: there is more to send now.
  bool pump(const Ring& ring) {
    Connection& connection = loop_.connection();
    for (int piece = 0; piece < kPiecesPerTurn; ++piece) {
      if (finished() || credit() == 0 || connection.congested()) return false;
      if (position_ < ring.begin()) {
        position_ = ring.begin();
        gap_ = true;
      }
      if (gap_) {
        if (credit() < kGapBytes) return false;
        std::string payload;
        ByteWriter(payload).u64(position_);
        payload.copy(connection.data(), payload.size());
        send_data(protocol::DataKind::gap, payload.size());
        gap_ = false;
        continue;
      }
      protocol::DataKind kind{};
      const size_t size = ring.read(position_, connection.data(), static_cast<size_t>(std::min<uint64_t>(credit(), kPieceBytes)), kind);
      if (size == 0) return false;
      send_data(kind, size);
      position_ += size;
    }
    return true;
  }

 private:
  uint64_t position_ = 0;
  bool gap_ = false;
};

class Attach final : public RingStream, private ProcessWatcher, private InputSource {
 public:
  Attach(Loop& loop, uint32_t id, protocol::AttachRequest&& request) : RingStream(loop, id), request_(std::move(request)) {}
  ~Attach() override {
    if (!process_) return;
    process_->unwatch(*this);
    process_->forget(*this);
  }

  void start() override {
    const auto process = loop_.processes().find(request_.id);
    if (!process) return finish(failure(Code::not_found, 0, "attach", request_.id, "no such command"));
    if (!process->background()) return finish(failure(Code::conflict, 0, "attach", request_.id, "not a background command"));
    const bool from_now = request_.from == UINT64_MAX;
    if (!from_now && request_.from > process->ring().end())
      return finish(failure(Code::invalid, 0, "attach", request_.id, "the offset is beyond the output so far"));
    if (!process->watch(*this))
      return finish(failure(Code::limit, 0, "attach", request_.id, std::to_string(kMaxAttached) + " streams are attached already"));
    process_ = process;
    begin_at(from_now ? process->ring().end() : request_.from, from_now && !request_.quiet);
    if (process->pid() != 0) send_started(process->pid());
    want_turn();
  }
  void on_data(std::string_view bytes) override { process_->write(*this, bytes); }
  void on_end() override { process_->end_input(); }
  void on_signal(int signal, uint32_t flags) override { signal_process(*process_, signal, flags); }
  void on_resize(uint32_t rows, uint32_t columns) override { (void)process_->resize(rows, columns); }
  bool quiet() const noexcept override { return request_.quiet; }
  bool on_turn() override {
    if (!request_.quiet && pump(process_->ring())) return true;
    if (process_->ended() && (request_.quiet || position() == process_->ring().end())) finish(process_->result());
    return false;
  }

 private:
  void on_process_started() override { send_started(process_->pid()); }
  void on_process_output() override {
    if (!request_.quiet) want_turn();
  }
  void on_process_end() override { want_turn(); }
  bool follows() const noexcept override { return !request_.quiet; }
  void input_taken(size_t size) override { consumed(size); }

  const protocol::AttachRequest request_;
  std::shared_ptr<Process> process_;
};

class Console final : public RingStream, private ConsoleWatcher {
 public:
  Console(Loop& loop, uint32_t id, const protocol::ConsoleRequest& request) : RingStream(loop, id), request_(request) {}
  ~Console() override {
    if (request_.follow) loop_.processes().unwatch_console(*this);
  }

  void start() override {
    const Ring& ring = loop_.processes().console();
    const uint64_t from = ring.last_lines(request_.lines);
    begin_at(from, from > 0);
    stop_at_ = ring.end();
    if (request_.follow) loop_.processes().watch_console(*this);
    want_turn();
  }
  bool on_turn() override {
    const bool more = pump(loop_.processes().console());
    if (!request_.follow && position() >= stop_at_) finish_ok();
    return more && !finished();
  }

 private:
  void on_console_output() override { want_turn(); }

  const protocol::ConsoleRequest request_;
  uint64_t stop_at_ = 0;
};

/// Acts and answers in one step.
class OneStep final : public Stream {
 public:
  using Act = protocol::Result (*)(Loop&, const protocol::Request&);
  OneStep(Loop& loop, uint32_t id, protocol::Request&& request, Act act) : Stream(loop, id), request_(std::move(request)), act_(act) {}
  void start() override { finish(act_(loop_, request_)); }

 private:
  const protocol::Request request_;
  const Act act_;
};

protocol::Result list_processes(Loop& loop, const protocol::Request&) {
  protocol::Result result;
  loop.processes().each([&](const Process& process) { protocol::encode(result.body, process.info()); });
  return result;
}

protocol::Result control_process(Loop& loop, const protocol::Request& request) {
  const protocol::ProcessSignalRequest& wanted = request.process_signal;
  const auto process = loop.processes().find(wanted.id);
  const std::string_view verb = wanted.signal == 0 ? "resize" : "signal";
  if (!process) return failure(Code::not_found, 0, verb, wanted.id, "no such command");
  if (process->ended()) return failure(Code::closed, 0, verb, wanted.id, "the command has ended");
  if (wanted.signal == 0) {
    const int error = process->resize(wanted.rows, wanted.columns);
    if (error == -ENOTTY) return failure(Code::conflict, 0, verb, wanted.id, "the command has no terminal");
    return error ? failure(-error, verb, wanted.id) : protocol::Result{};
  }
  signal_process(*process, static_cast<int>(wanted.signal), wanted.flags);
  return {};
}

}  // namespace

std::unique_ptr<Stream> make_attach(Loop& loop, uint32_t id, protocol::AttachRequest&& request) {
  return std::make_unique<Attach>(loop, id, std::move(request));
}
std::unique_ptr<Stream> make_console(Loop& loop, uint32_t id, const protocol::ConsoleRequest& request) {
  return std::make_unique<Console>(loop, id, request);
}
std::unique_ptr<Stream> make_process_list(Loop& loop, uint32_t id, protocol::Request&& request) {
  return std::make_unique<OneStep>(loop, id, std::move(request), list_processes);
}
std::unique_ptr<Stream> make_process_signal(Loop& loop, uint32_t id, protocol::Request&& request) {
  return std::make_unique<OneStep>(loop, id, std::move(request), control_process);
}

}  // namespace svm::agent
