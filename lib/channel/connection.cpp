#include <sys/epoll.h>
#include <sys/socket.h>

#include <cerrno>
#include <csignal>
#include <mutex>
#include <new>
#include <unordered_map>
#include <utility>
#include <vector>

#include "channel/channel.hpp"
#include "channel/frame_assembler.hpp"
#include "channel/send_queue.hpp"
#include "channel/stream_state.hpp"
#include "core/bytes.hpp"

namespace svm::channel {
namespace {
using protocol::Frame;
using protocol::FrameType;
using protocol::Result;

constexpr size_t kReadBytes = 256 * 1024;        // one recv
constexpr int kReadsPerTurn = 8;                 // then other channels get theirs
constexpr size_t kQueueFull = 4 * 1024 * 1024;   // bytes the agent has not taken: writers wait
constexpr size_t kQueueRoom = 1024 * 1024;       // writers go on

/// What recv fills. All channels of a reactor thread share one: a channel keeps only the beginning of an unfinished frame.
char* read_buffer() {
  thread_local const std::unique_ptr<char[]> buffer(new char[kReadBytes]);
  return buffer.get();
}

/// How every stream of a connection ends that has ended itself.
using Reason = std::shared_ptr<const Result>;
Reason reason(Code code, int error, std::string message) {
  return std::make_shared<const Result>(Result{code, error, std::move(message), {}});
}

bool read_u32(std::string_view payload, uint32_t& out) {
  ByteReader reader(payload);
  out = reader.u32();
  return reader.done();
}

/// The connection itself. Kept alive by its watch in the reactor, by its Channel and by its Streams.
///
/// The reading side decides when it is over: a socket that takes no more bytes may still hold the agent's last words. Only the
/// reactor thread reads, opens and closes; any thread sends. mutex_ is never held while a hook or a callback runs.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  using OnOpen = std::function<void(const Opening&)>;
  using OnClosed = std::function<void()>;

  Connection(Reactor& reactor, Fd socket, OnOpen on_open, OnClosed on_closed)
      : reactor_(reactor), socket_(std::move(socket)), on_open_(std::move(on_open)), on_closed_(std::move(on_closed)) {}

  /// `greeting`: payload of the first frame.
  void start(FrameType type, std::string_view greeting);
  std::shared_ptr<StreamState> request(protocol::Op op, std::string_view payload);
  bool send(FrameType type, uint32_t stream, std::string_view payload, protocol::DataKind kind = protocol::DataKind::bytes) noexcept;
  void send_control(FrameType type, uint32_t stream, uint32_t first, uint32_t second);
  void close() noexcept { fail(closed_); }
  size_t open_streams() const noexcept {
    const std::lock_guard lock(mutex_);
    return streams_.size();
  }
  const std::atomic<bool>& has_room() const noexcept { return has_room_; }

 private:
  using Streams = std::unordered_map<uint32_t, std::shared_ptr<StreamState>>;

  void on_event(uint32_t events);
  void read();
  bool handle(std::string_view in);
  const char* handle_frame(const Frame& frame);
  const char* handle_opening(const Frame& frame);
  const char* handle_result(const Frame& frame);
  std::shared_ptr<StreamState> find(uint32_t id, bool& ever_opened);
  void flush();
  void send_locked(FrameType type, uint32_t stream, std::string_view payload, protocol::DataKind kind) noexcept;
  void watch_for_room_locked(bool wanted) noexcept;
  void fail(Reason why) noexcept;
  void fail_broken(const char* rule) { fail(reason(Code::io, EPROTO, std::string("the agent broke the protocol: ") + rule)); }
  void tear_down();
  bool ended() const {
    const std::lock_guard lock(mutex_);
    return ended_;
  }

  Reactor& reactor_;  // not touched after tear_down
  // Made before they are needed: ending must not fail.
  const Reason closed_ = reason(Code::closed, 0, "the connection to the agent has ended");
  const Reason no_memory_ = reason(Code::limit, ENOMEM, "out of memory");
  std::atomic<bool> has_room_ = true;

  mutable std::mutex mutex_;  // guards what follows; taken before a stream's and the reactor's own
  Fd socket_;
  Reactor::WatchId watch_ = 0;
  SendQueue queue_;
  Streams streams_;
  uint32_t last_id_ = 0;
  bool ids_wrapped_ = false;
  bool watching_for_room_ = false;
  bool ended_ = false;

  // The reactor thread's own.
  FrameAssembler assembler_;
  bool opened_ = false;
  bool torn_down_ = false;
  OnOpen on_open_;
  OnClosed on_closed_;
};

void Connection::start(FrameType type, std::string_view greeting) {
  const std::lock_guard lock(mutex_);  // the reactor may call on_event before watch() has returned
  watch_ = reactor_.watch(socket_.get(), EPOLLIN, [self = shared_from_this()](uint32_t events) { self->on_event(events); });
  send_locked(type, 0, greeting, protocol::DataKind::bytes);
}

std::shared_ptr<StreamState> Connection::request(protocol::Op op, std::string_view payload) {
  const std::lock_guard lock(mutex_);
  if (ended_) throw Error(Code::closed, "the connection to the agent has ended");
  if (streams_.size() >= protocol::kMaxStreams) throw Error(Code::limit, "too many open requests in one sandbox").with("limit", protocol::kMaxStreams);
  do {
    if (++last_id_ == 0) ids_wrapped_ = true;
  } while (last_id_ == 0 || streams_.contains(last_id_));
  auto stream = std::make_shared<StreamState>(last_id_, op);
  streams_.emplace(last_id_, stream);
  send_locked(FrameType::request, last_id_, payload, protocol::DataKind::bytes);
  return stream;
}

/// False after the end.
bool Connection::send(FrameType type, uint32_t stream, std::string_view payload, protocol::DataKind kind) noexcept {
  const std::lock_guard lock(mutex_);
  if (ended_) return false;
  send_locked(type, stream, payload, kind);
  return true;
}

/// A frame of two numbers, for a stream that is open.
void Connection::send_control(FrameType type, uint32_t stream, uint32_t first, uint32_t second) {
  std::string payload;
  ByteWriter writer(payload);
  writer.u32(first);
  writer.u32(second);
  const std::lock_guard lock(mutex_);
  if (!streams_.contains(stream)) throw Error(Code::closed, "the stream has ended");
  if (!has_room_) throw Error(Code::limit, "the agent does not read");
  send_locked(type, stream, payload, protocol::DataKind::bytes);
}

void Connection::send_locked(FrameType type, uint32_t stream, std::string_view payload, protocol::DataKind kind) noexcept {
  char header[protocol::kHeaderBytes];
  encode_header(header, type, stream, static_cast<uint32_t>(payload.size()), kind);
  if (!queue_.send(socket_.get(), {header, sizeof header}, payload)) {
    // An agent that still runs sees end-of-file and ends; reading goes on until it has.
    ::shutdown(socket_.get(), SHUT_WR);
  }
  if (queue_.size() > kQueueFull) has_room_ = false;
  watch_for_room_locked(queue_.size() > 0);
}

void Connection::watch_for_room_locked(bool wanted) noexcept {
  if (wanted == watching_for_room_) return;
  reactor_.change(watch_, wanted ? EPOLLIN | EPOLLOUT : EPOLLIN);
  watching_for_room_ = wanted;
}

void Connection::on_event(uint32_t events) {
  try {
    if (events == Reactor::kStopping) fail(closed_);
    if (events & EPOLLOUT) flush();
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) read();
  } catch (const std::bad_alloc&) {
    fail(no_memory_);
  }
  if (ended()) tear_down();
}

void Connection::flush() {
  std::vector<std::shared_ptr<StreamState>> waiting;
  {
    const std::lock_guard lock(mutex_);
    if (ended_) return;
    if (!queue_.flush(socket_.get())) ::shutdown(socket_.get(), SHUT_WR);
    watch_for_room_locked(queue_.size() > 0);
    if (has_room_ || queue_.size() > kQueueRoom) return;
    for (const auto& [id, stream] : streams_) waiting.push_back(stream);
    has_room_ = true;
  }
  for (const auto& stream : waiting) stream->room();
}

void Connection::read() {
  char* const buffer = read_buffer();
  for (int turn = 0; turn < kReadsPerTurn && !ended(); ++turn) {
    // Only this thread closes the socket, so it is read without the lock.
    const ssize_t n = ::recv(socket_.get(), buffer, kReadBytes, MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) return fail(closed_);
    if (!handle({buffer, static_cast<size_t>(n)})) return;
    if (static_cast<size_t>(n) < kReadBytes) return;  // most likely empty now; if not, epoll says so
  }
}

/// False after the end.
bool Connection::handle(std::string_view in) {
  for (;;) {
    Frame frame;
    switch (assembler_.next(in, frame)) {
      case FrameAssembler::Status::need_more: return true;
      case FrameAssembler::Status::malformed: return fail_broken("malformed frame"), false;
      case FrameAssembler::Status::frame: break;
    }
    const char* const broken = opened_ ? handle_frame(frame) : handle_opening(frame);
    if (broken != nullptr) return fail_broken(broken), false;
    if (ended()) return false;
  }
}

/// nullptr, or the rule that the frame broke.
const char* Connection::handle_opening(const Frame& frame) {
  Opening opening;
  if (frame.type == FrameType::ready) {
    if (!decode(frame.payload, opening.ready.emplace()) || opening.ready->version != protocol::kVersion) return "bad READY";
  } else if (frame.type == FrameType::failed) {
    if (!decode(frame.payload, opening.failure.emplace())) return "bad FAILED";
  } else {
    return "first frame is neither READY nor FAILED";
  }
  opened_ = true;
  const OnOpen on_open = std::exchange(on_open_, nullptr);
  if (on_open) on_open(opening);
  if (opening.failure) {
    fail(reason(Code::unavailable, opening.failure->error, std::string("the sandbox could not be built: ") + step_name(opening.failure->step)));
  }
  return nullptr;
}

/// The open stream of that id, or nullptr. The agent may name no stream that was never opened.
std::shared_ptr<StreamState> Connection::find(uint32_t id, bool& ever_opened) {
  const std::lock_guard lock(mutex_);
  const auto found = streams_.find(id);
  if (found != streams_.end()) return found->second;
  ever_opened = ids_wrapped_ || id <= last_id_;
  return nullptr;
}

const char* Connection::handle_frame(const Frame& frame) {
  if (frame.type == FrameType::result) return handle_result(frame);
  bool ever_opened = true;
  const std::shared_ptr<StreamState> stream = find(frame.stream, ever_opened);
  if (!ever_opened) return "unknown stream";
  uint32_t number = 0;
  switch (frame.type) {
    case FrameType::data:
      return !stream || stream->deliver(frame.kind, assembler_.take_payload(frame)) ? nullptr : "DATA beyond its credit or END";
    case FrameType::end:
      return frame.payload.empty() && (!stream || stream->agent_end()) ? nullptr : "bad END";
    case FrameType::window:
      return read_u32(frame.payload, number) && (!stream || stream->grant(number)) ? nullptr : "bad WINDOW";
    case FrameType::started:
      return read_u32(frame.payload, number) && (!stream || stream->started(number)) ? nullptr : "bad STARTED";
    default: return "unexpected frame type";
  }
}

const char* Connection::handle_result(const Frame& frame) {
  const auto result = std::make_shared<Result>();
  if (!decode(frame.payload, *result)) return "bad RESULT";
  std::shared_ptr<StreamState> stream;
  {
    const std::lock_guard lock(mutex_);
    const auto found = streams_.find(frame.stream);
    if (found == streams_.end()) return ended_ ? nullptr : "RESULT for a stream that is not open";
    stream = std::move(found->second);
    streams_.erase(found);
  }
  stream->end(result);
  return nullptr;
}

/// Ends every stream and stops the socket; the reactor thread then tears down. Any thread; the first reason counts.
void Connection::fail(Reason why) noexcept {
  Streams streams;
  {
    const std::lock_guard lock(mutex_);
    if (ended_) return;
    ended_ = true;
    streams.swap(streams_);
    queue_.drop();
    ::shutdown(socket_.get(), SHUT_RDWR);  // wakes the reactor: end-of-file
  }
  for (const auto& [id, stream] : streams) stream->end(why);
}

/// On the reactor thread, after the end.
void Connection::tear_down() {
  if (std::exchange(torn_down_, true)) return;
  Fd socket;
  {
    const std::lock_guard lock(mutex_);
    socket = std::move(socket_);
  }
  reactor_.remove(watch_);
  socket.reset();
  const OnOpen on_open = std::exchange(on_open_, nullptr);
  const OnClosed on_closed = std::exchange(on_closed_, nullptr);
  if (!opened_ && on_open) on_open({});
  if (on_closed) on_closed();
}

class StreamHandle final : public Stream {
 public:
  StreamHandle(std::shared_ptr<Connection> connection, std::shared_ptr<StreamState> state)
      : connection_(std::move(connection)), state_(std::move(state)) {}
  ~StreamHandle() override {
    state_->set_notify({});
    state_->abandon();
    cancel();
  }

  Next next(int64_t timeout_ms, Piece& out) override {
    uint32_t credit = 0;
    const Next next = state_->take(timeout_ms, out, credit);
    if (credit > 0) {
      const char payload[] = {static_cast<char>(credit), static_cast<char>(credit >> 8), static_cast<char>(credit >> 16),
                              static_cast<char>(credit >> 24)};
      connection_->send(FrameType::window, state_->id(), {payload, sizeof payload});  // after the end nobody needs it
    }
    return next;
  }
  const Result* result() const noexcept override { return state_->result(); }
  uint32_t pid() const noexcept override { return state_->pid(); }

  size_t write(const void* data, size_t size, int64_t timeout_ms) override {
    const auto* const bytes = static_cast<const char*>(data);
    size_t taken = 0;
    do {
      const size_t piece = state_->reserve(size - taken, taken == 0 ? timeout_ms : 0, connection_->has_room());
      if (piece == 0) break;
      if (!connection_->send(FrameType::data, state_->id(), {bytes + taken, piece})) throw Error(Code::closed, "the stream has ended");
      taken += piece;
    } while (taken < size);
    return taken;
  }
  void finish() override {
    if (state_->finish()) connection_->send(FrameType::end, state_->id(), {});
  }
  void cancel() noexcept override {
    if (state_->cancel()) connection_->send(FrameType::cancel, state_->id(), {});
  }
  void send_signal(int signal, bool group) override {
    if (signal < 1 || signal > 64) throw Error(Code::invalid, "no such signal").with("field", "signal");
    connection_->send_control(FrameType::signal, state_->id(), static_cast<uint32_t>(signal), group ? protocol::kSignalGroup : 0);
  }
  void kill() noexcept override {
    if (state_->op() == protocol::Op::attach && !state_->ended()) {
      constexpr char kKill[] = {SIGKILL, 0, 0, 0, protocol::kSignalTree, 0, 0, 0};
      connection_->send(FrameType::signal, state_->id(), {kKill, sizeof kKill});
    }
    cancel();
  }
  void resize(uint32_t rows, uint32_t columns) override {
    for (const auto& [side, name] : {std::pair{rows, "rows"}, std::pair{columns, "cols"}})
      if (side < 1 || side > protocol::kMaxTerminalSide)
        throw Error(Code::invalid, std::string(name) + ": must be from 1 to " + std::to_string(protocol::kMaxTerminalSide))
            .with("field", name)
            .with("limit", protocol::kMaxTerminalSide);
    connection_->send_control(FrameType::resize, state_->id(), rows, columns);
  }

  bool readable() const noexcept override { return state_->readable(); }
  bool writable() const noexcept override { return state_->writable(connection_->has_room()); }
  void set_notify(std::function<void()> hook) override { state_->set_notify(std::move(hook)); }

 private:
  const std::shared_ptr<Connection> connection_;
  const std::shared_ptr<StreamState> state_;
};

class ChannelHandle final : public Channel {
 public:
  explicit ChannelHandle(std::shared_ptr<Connection> connection) : connection_(std::move(connection)) {}
  ~ChannelHandle() override { connection_->close(); }

  std::shared_ptr<Stream> request(protocol::Op op, std::string payload) override {
    if (payload.size() > protocol::kMaxPayload) throw Error(Code::invalid, "the request is too large").with("limit", protocol::kMaxPayload);
    if (ByteReader(payload).u16() != static_cast<uint16_t>(op)) throw Error(Code::invalid, "the request's payload is another operation's");
    return std::make_shared<StreamHandle>(connection_, connection_->request(op, payload));
  }
  void close() noexcept override { connection_->close(); }
  size_t open_streams() const noexcept override { return connection_->open_streams(); }

 private:
  const std::shared_ptr<Connection> connection_;
};

std::shared_ptr<Channel> start_channel(Reactor& reactor, Fd socket, Connection::OnOpen on_open, Connection::OnClosed on_closed, FrameType type,
                                       std::string_view greeting) {
  const auto connection = std::make_shared<Connection>(reactor, std::move(socket), std::move(on_open), std::move(on_closed));
  auto channel = std::make_shared<ChannelHandle>(connection);
  connection->start(type, greeting);
  return channel;
}

}  // namespace

std::shared_ptr<Channel> Channel::create(Reactor& reactor, Fd socket, const protocol::Hello& hello,
                                         std::function<void(const Opening&)> on_open, std::function<void()> on_closed) {
  std::string payload;
  encode(payload, hello);
  if (payload.size() > protocol::kMaxPayload) throw Error(Code::invalid, "the greeting to the agent is too large");
  return start_channel(reactor, std::move(socket), std::move(on_open), std::move(on_closed), FrameType::hello, payload);
}

std::shared_ptr<Channel> Channel::resume(Reactor& reactor, Fd socket, std::function<void(const Opening&)> on_open, std::function<void()> on_closed) {
  std::string payload;
  ByteWriter(payload).u32(protocol::kVersion);
  return start_channel(reactor, std::move(socket), std::move(on_open), std::move(on_closed), FrameType::resume, payload);
}

}  // namespace svm::channel
