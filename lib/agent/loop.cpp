#include "agent/loop.hpp"

#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

#include "agent/process_table.hpp"
#include "core/bytes.hpp"
#include "core/clock.hpp"

namespace svm::agent {
namespace {
enum Tag { kChannel, kSignals, kLife, kControl };
constexpr int kEvents = 64;      // fetched at once
constexpr int kReads = 4;        // of the channel in one round
constexpr int kMaxSignalNumber = 64;

bool is_side(uint32_t number) noexcept { return number >= 1 && number <= protocol::kMaxTerminalSide; }
}  // namespace

int Watch::start(Loop& loop, int fd, uint32_t events, Ready& ready, int tag) {
  stop();
  loop_ = &loop;
  ready_ = &ready;
  fd_ = fd;
  tag_ = tag;
  token_ = loop.next_token_++;
  loop.watches_[token_] = this;
  const int error = set(events);
  if (error) stop();
  return error;
}

int Watch::set(uint32_t events) noexcept {
  if (!loop_ || events == events_) return 0;
  epoll_event event{};
  event.events = events;
  event.data.u64 = token_;
  // Removed rather than left without interest: hang-ups are reported regardless and would turn the loop into a busy one.
  const int op = events == 0 ? EPOLL_CTL_DEL : events_ == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
  if (::epoll_ctl(loop_->epoll_.get(), op, fd_, &event) < 0) return -errno;
  events_ = events;
  return 0;
}

void Watch::stop() noexcept {
  if (!loop_) return;
  (void)set(0);
  loop_->watches_.erase(token_);
  loop_ = nullptr;
  events_ = 0;
}

Loop::Loop(Context& context, Connection& connection) : context_(context), connection_(connection), processes_(std::make_unique<ProcessTable>()) {}

Loop::~Loop() = default;

int Loop::open() {
  epoll_.reset(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll_) return -errno;
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  signals_.reset(::signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals_) return -errno;
  if (const int error = signal_watch_.start(*this, signals_.get(), EPOLLIN, *this, kSignals)) return error;
  if (context_.options.life >= 0)
    if (const int error = life_watch_.start(*this, context_.options.life, EPOLLIN, *this, kLife)) return error;
  if (context_.options.control >= 0)
    if (const int error = control_watch_.start(*this, context_.options.control, EPOLLIN, *this, kControl)) return error;
  return channel_watch_.start(*this, connection_.fd(), EPOLLIN, *this, kChannel);
}

Loop::End Loop::run() {
  if (open() != 0) return End::failed;
  // What came together with Hello is already in the connection's buffer.
  read_channel();
  for (;;) {
    settle();
    if (ended_) return end_;
    update_channel_interest();
    epoll_event events[kEvents];
    const int count = ::epoll_wait(epoll_.get(), events, kEvents, wait_ms());
    if (count < 0 && errno != EINTR) return End::failed;
    for (int i = 0; i < count && !ended_; ++i) {
      const auto watch = watches_.find(events[i].data.u64);
      if (watch != watches_.end()) watch->second->ready_->on_ready(watch->second->tag_, events[i].events);
    }
    take_turns();
    fire_deadlines();
  }
}

/// What every round ends with: answers leave, streams that waited for the socket go on, finished ones are forgotten.
void Loop::settle() {
  connection_.flush();
  // Also when it was full for a part of this round only: one stream may have filled it, and another one have been refused.
  if (connection_.relief_due()) {
    connection_.take_relief();
    for (auto& stream : streams_)
      if (!stream.second->finished()) stream.second->on_room();
  }
  connection_.flush();  // what on_room ended
  bury();
  // Who is not there to hear may have said something before it went: that is read to its end, which comes by itself.
  if (connection_.broken()) connection_.drop_unsent();
}

void Loop::on_ready(int tag, uint32_t events) {
  switch (tag) {
    case kChannel:
      if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) read_channel();
      break;
    case kSignals: reap(); break;
    case kLife: {
      char byte;
      const ssize_t n = ::read(context_.options.life, &byte, 1);
      if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) ended_ = true;
      break;
    }
    case kControl: take_peer(); break;
    default: break;
  }
}

/// The connection is over. Where another may come, what belonged to this one ends, and what does not lives on: background commands and their output.
void Loop::lose_peer() {
  if (context_.options.control < 0) {
    ended_ = true;
    return;
  }
  channel_watch_.stop();
  connection_.disconnect();
  streams_.clear();
  turns_.clear();
  retired_.clear();
  resuming_ = false;
}

void Loop::take_peer() {
  char byte;
  Fd peer;
  size_t count = 1;
  const long n = receive_message(context_.options.control, &byte, sizeof byte, &peer, &count, MSG_DONTWAIT);
  if (n == -EAGAIN) return;
  if (n <= 0) {  // the launcher has ended: `life` says so too
    ended_ = true;
    return;
  }
  if (count != 1) return;
  lose_peer();  // the launcher knows better than the old connection does
  if (connection_.connect(std::move(peer)) != 0) return;
  resuming_ = true;
  if (channel_watch_.start(*this, connection_.fd(), EPOLLIN, *this, kChannel) != 0) lose_peer();
}

/// The first frame of a further peer. False: it is not what it must be.
bool Loop::resume(const protocol::Frame& frame) {
  ByteReader reader(frame.payload);
  const uint32_t version = reader.u32();
  if (frame.type != protocol::FrameType::resume || !reader.done()) return false;
  resuming_ = false;
  std::string payload;
  if (version != protocol::kVersion) {
    // Of another release: it may destroy the sandbox, and use nothing in it.
    protocol::encode(payload, protocol::StepFailure{protocol::Step::hello, EPROTONOSUPPORT});
    connection_.send(protocol::FrameType::failed, 0, payload);
    return true;
  }
  protocol::encode(payload, context_.ready);
  connection_.send(protocol::FrameType::ready, 0, payload);
  return true;
}

void Loop::update_channel_interest() {
  if (connection_.fd() < 0) return;
  // Without EPOLLIN a host that never reads cannot make us queue answers without end.
  const bool full = connection_.unsent() > kMaxUnsent;
  const uint32_t interest = (full ? 0u : static_cast<uint32_t>(EPOLLIN)) | (connection_.congested() ? static_cast<uint32_t>(EPOLLOUT) : 0u);
  if (channel_watch_.set(interest) != 0) {
    end_ = End::failed;
    ended_ = true;
  }
}

void Loop::read_channel() {
  for (int reads = 0;; ++reads) {
    // All that was received, even while `unsent` is too much: no event would come for it later.
    protocol::Frame frame;
    for (;;) {
      const Connection::Next next = connection_.next(frame);
      if (next == Connection::Next::none) break;
      if (next == Connection::Next::malformed || !(resuming_ ? resume(frame) : dispatch(frame))) {
        if (resuming_) return lose_peer();
        end_ = End::malformed;
        ended_ = true;
        return;
      }
    }
    if (reads >= kReads || connection_.unsent() > kMaxUnsent) return;
    switch (connection_.receive()) {
      case Connection::Input::ended: lose_peer(); return;
      case Connection::Input::drained: reads = kReads - 1; break;  // one more round, to take apart what came
      case Connection::Input::more: break;
    }
  }
}

bool Loop::dispatch(const protocol::Frame& frame) {
  using protocol::FrameType;
  if (frame.type == FrameType::request) return open_stream(frame);
  ByteReader reader(frame.payload);
  uint32_t number = 0, flags = 0;
  switch (frame.type) {
    case FrameType::data:
      if (frame.kind != protocol::DataKind::bytes) return false;
      break;
    case FrameType::window: number = reader.u32(); break;
    case FrameType::signal:
      number = reader.u32();
      flags = reader.u32();
      if (number == 0 || number > kMaxSignalNumber || (flags & ~protocol::kSignalGroup & ~protocol::kSignalTree)) return false;
      break;
    case FrameType::resize:
      number = reader.u32();
      flags = reader.u32();
      if (!is_side(number) || !is_side(flags)) return false;
      break;
    case FrameType::end:
    case FrameType::cancel: break;
    default: return false;
  }
  if (frame.type != FrameType::data && !reader.done()) return false;

  const auto found = streams_.find(frame.stream);
  if (found == streams_.end() || found->second->finished()) return true;  // crossed our Result
  Stream& stream = *found->second;
  switch (frame.type) {
    case FrameType::data:
      if (!stream.take_data(frame.payload.size())) return false;
      stream.on_data(frame.payload);
      return true;
    case FrameType::end:
      if (!stream.take_end()) return false;
      stream.on_end();
      return true;
    case FrameType::window:
      if (!stream.add_credit(number)) return false;
      stream.on_room();
      return true;
    case FrameType::cancel: stream.on_cancel(); return true;
    case FrameType::signal: stream.on_signal(static_cast<int>(number), flags); return true;
    case FrameType::resize: stream.on_resize(number, flags); return true;
    default: return false;
  }
}

bool Loop::open_stream(const protocol::Frame& frame) {
  const auto found = streams_.find(frame.stream);
  if (found != streams_.end()) {
    if (!found->second->finished()) return false;
    streams_.erase(found);  // its Result is queued: the id is free
  }
  const auto open = static_cast<size_t>(std::count_if(streams_.begin(), streams_.end(), [](const auto& s) { return !s.second->finished(); }));
  if (open >= protocol::kMaxStreams) return false;
  protocol::Request request;
  if (!protocol::decode(frame.payload, request)) return false;
  std::unique_ptr<Stream> stream = make_stream(*this, frame.stream, std::move(request));
  Stream& opened = *stream;
  streams_.emplace(frame.stream, std::move(stream));
  opened.start();
  return true;
}

void Loop::reap() {
  signalfd_siginfo info[16];  // more than there can be: a pending signal is not queued again
  (void)!::read(signals_.get(), info, sizeof info);
  // Signals merge; only asking until nobody is left finds every child. Orphans of the whole sandbox come here too.
  for (;;) {
    int status = 0;
    rusage usage{};
    const pid_t pid = ::wait4(-1, &status, WNOHANG, &usage);
    if (pid < 0 && errno == EINTR) continue;
    if (pid <= 0) return;
    const auto leader = leaders_.find(pid);
    if (leader == leaders_.end()) continue;
    Process* process = leader->second;
    leaders_.erase(leader);
    process->on_exit(status, usage);
  }
}

void Loop::take_turns() {
  std::vector<uint32_t> turns;
  turns.swap(turns_);
  for (const uint32_t id : turns) {
    const auto found = streams_.find(id);
    if (found == streams_.end() || found->second->finished() || !found->second->wants_turn_) continue;
    found->second->wants_turn_ = false;
    if (found->second->on_turn()) found->second->want_turn();
  }
}

int Loop::wait_ms() const {
  if (!turns_.empty() || connection_.relief_due()) return 0;
  int64_t next = processes_->next_deadline();
  for (const auto& stream : streams_) next = std::min(next, stream.second->deadline());
  if (next == kNoDeadline) return -1;
  const int64_t left = next - monotonic_us();
  if (left <= 0) return 0;
  return static_cast<int>(std::min<int64_t>((left + 999) / 1000, 60 * 60 * 1000));
}

void Loop::fire_deadlines() {
  int64_t now = -1;
  if (processes_->next_deadline() != kNoDeadline) processes_->fire_deadlines(now = monotonic_us());
  for (auto& stream : streams_) {
    if (stream.second->finished() || stream.second->deadline() == kNoDeadline) continue;
    if (now < 0) now = monotonic_us();
    if (stream.second->deadline() <= now) stream.second->on_deadline();
  }
}

void Loop::bury() {
  for (const uint32_t id : retired_) {
    const auto found = streams_.find(id);
    if (found != streams_.end() && found->second->finished()) streams_.erase(found);  // not if the id is in use again
  }
  retired_.clear();
  processes_->settle();
  if (std::all_of(streams_.begin(), streams_.end(), [](const auto& stream) { return stream.second->quiet(); })) connection_.trim();
}

}  // namespace svm::agent
