#include "client.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "core/bytes.hpp"
#include "core/clock.hpp"

namespace svm::agent::test {

using protocol::DataKind;
using protocol::FrameType;

namespace {
/// Goes on in the child; this process stays only to hand on how that ends.
void continue_in(pid_t child) {
  must(child >= 0, "child");
  if (child > 0) {
    int status = 0;
    // The channel must end with the agent, not with us.
    ::syscall(SYS_close_range, 3, ~0u, 0);
    ::waitpid(child, &status, 0);
    ::_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
  }
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
}

void become_process_one() {
  must(::unshare(CLONE_NEWPID | CLONE_NEWNS) == 0, "unshare");
  continue_in(::fork());
  must(::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0, "private mounts");
  must(::mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) == 0, "mount proc");
}

void write_map(const char* path, const std::string& text) {
  const Fd fd(::open(path, O_WRONLY | O_CLOEXEC));
  must(fd.valid() && write_all(fd.get(), text.data(), text.size()) == 0, path);
}

void become_rootless(uint32_t uid) {
  must(::syscall(SYS_setgroups, 0, nullptr) == 0, "groups");
  must(::syscall(SYS_setresgid, uid, uid, uid) == 0, "gid");
  must(::syscall(SYS_setresuid, uid, uid, uid) == 0, "uid");
  must(::prctl(PR_SET_DUMPABLE, 1) == 0, "dumpable");  // so that the maps can be written
  continue_in(clone_into_user_namespace());
  write_map("/proc/self/setgroups", "deny");
  write_map("/proc/self/uid_map", "0 " + std::to_string(uid) + " 1");
  write_map("/proc/self/gid_map", "0 " + std::to_string(uid) + " 1");
}
}  // namespace

pid_t clone_into_user_namespace() {
  // Not fork and unshare: a sanitizer has a thread in every process, and those may not unshare.
  return static_cast<pid_t>(::syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, nullptr, nullptr, nullptr, nullptr));
}

void must(bool ok, const char* step) {
  if (ok) return;
  std::fprintf(stderr, "agent's process: %s: %d\n", step, errno);
  ::_exit(99);
}

protocol::ExecResult Reply::exec() const {
  protocol::ExecResult out;
  REQUIRE_MESSAGE(result.code == Code::ok, result.message);
  REQUIRE(protocol::decode(result.body, out));
  return out;
}

std::vector<protocol::ProcessInfo> Reply::processes() const {
  std::vector<protocol::ProcessInfo> out;
  REQUIRE_MESSAGE(result.code == Code::ok, result.message);
  REQUIRE(protocol::decode_processes(result.body, out));
  return out;
}

protocol::FileInfo Reply::info() const {
  protocol::FileInfo out;
  REQUIRE_MESSAGE(result.code == Code::ok, result.message);
  REQUIRE(protocol::decode(result.body, out));
  return out;
}

Client::Setup::Setup() {
  options.lock_down = false;
  hello.version = protocol::kVersion;
  hello.rootless = true;
  hello.uid = ::geteuid();
  hello.gid = ::getegid();
  hello.home = "/";
  hello.workdir = "/";
  hello.env = {{"PATH", "/usr/local/bin:/usr/bin:/bin"}, {"LC_ALL", "C"}};
}

Client::Client(Setup setup) {
  Fd agent_end;
  REQUIRE(make_socketpair(SOCK_STREAM, channel_, agent_end) == 0);
  setup.options.channel = agent_end.get();
  pid_ = ::fork();
  REQUIRE(pid_ >= 0);
  if (pid_ == 0) {
    channel_.reset();
    if (setup.close_in_agent >= 0) ::close(setup.close_in_agent);
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (setup.rootless_uid != 0) become_rootless(setup.rootless_uid);
    if (setup.process_one || setup.rootless_uid != 0) {
      become_process_one();
    } else {
      ::prctl(PR_SET_CHILD_SUBREAPER, 1);  // as process 1 of a pid namespace would be
    }
    if (setup.before_run) setup.before_run();
    ::_exit(run(setup.options));
  }
  agent_end.reset();
  std::string payload;
  protocol::encode(payload, setup.hello);
  frame(FrameType::hello, 0, payload);
  REQUIRE(pump([this] { return got_ready_ || failed.step != protocol::Step::none; }));
}

Client::~Client() {
  channel_.reset();
  if (pid_ > 0) wait_exit();
}

bool Client::widen_channel(int bytes) { return ::setsockopt(channel_.get(), SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes) == 0; }

int Client::wait_exit() {
  int status = 0;
  const int64_t limit = monotonic_us() + 20'000'000;
  while (::waitpid(pid_, &status, WNOHANG) == 0) {
    if (monotonic_us() > limit) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, &status, 0);
      break;
    }
    ::usleep(1000);
  }
  pid_ = 0;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

uint32_t Client::open(const std::string& request) {
  const uint32_t stream = next_++;
  replies_[stream];
  frame(FrameType::request, stream, request);
  return stream;
}

void Client::frame(FrameType type, uint32_t stream, const std::string& payload, DataKind kind) {
  std::string bytes;
  protocol::encode_frame(bytes, type, stream, payload, kind);
  raw(bytes);
}

void Client::raw(const std::string& bytes) {
  if (sending_) {
    // Asked for by receive() below, in the middle of another frame.
    queued_ += bytes;
    return;
  }
  sending_ = true;
  send_now(bytes);
  while (!queued_.empty()) {
    const std::string next = std::move(queued_);
    queued_.clear();
    send_now(next);
  }
  sending_ = false;
}

void Client::send_now(const std::string& bytes) {
  for (size_t at = 0; at < bytes.size() && !ended_;) {
    const ssize_t n = ::send(channel_.get(), bytes.data() + at, bytes.size() - at, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n > 0) {
      at += static_cast<size_t>(n);
    } else if (n < 0 && errno == EAGAIN) {
      receive(10);  // the agent may wait for us to listen
    } else {
      ended_ = true;
    }
  }
}

void Client::signal(uint32_t stream, uint32_t number, bool group) {
  std::string payload;
  ByteWriter writer(payload);
  writer.u32(number);
  writer.u32(group ? protocol::kSignalGroup : 0);
  frame(FrameType::signal, stream, payload);
}

void Client::kill(uint32_t stream) {
  std::string payload;
  ByteWriter writer(payload);
  writer.u32(SIGKILL);
  writer.u32(protocol::kSignalTree);
  frame(FrameType::signal, stream, payload);
}

void Client::resize(uint32_t stream, uint32_t rows, uint32_t columns) {
  std::string payload;
  ByteWriter writer(payload);
  writer.u32(rows);
  writer.u32(columns);
  frame(FrameType::resize, stream, payload);
}

void Client::send_bytes(uint32_t stream, const std::string& bytes) {
  for (size_t at = 0; at < bytes.size();) {
    Reply& to = replies_[stream];
    if (to.done) return;
    const size_t size = std::min({bytes.size() - at, size_t{protocol::kMaxData}, static_cast<size_t>(to.window)});
    if (size == 0) {
      REQUIRE(pump([&] { return to.window > 0 || to.done; }));
      continue;
    }
    to.window -= size;
    frame(FrameType::data, stream, bytes.substr(at, size));
    at += size;
  }
}

Reply Client::write_file(protocol::WriteRequest request, const std::string& bytes) {
  const uint32_t stream = start(request);
  send_bytes(stream, bytes);
  end(stream);
  return wait(stream);
}

Reply Client::wait(uint32_t stream, int timeout_ms) {
  REQUIRE(pump([&] { return replies_[stream].done; }, timeout_ms));
  return replies_[stream];
}

bool Client::pump(const std::function<bool()>& until, int timeout_ms) {
  const int64_t limit = monotonic_us() + int64_t{timeout_ms} * 1000;
  while (!until()) {
    const int64_t left = (limit - monotonic_us()) / 1000;
    if (ended_ || left <= 0) return false;
    receive(static_cast<int>(left));
  }
  return true;
}

bool Client::receive(int timeout_ms) {
  pollfd fd{channel_.get(), POLLIN, 0};
  if (::poll(&fd, 1, timeout_ms) <= 0) return false;
  const size_t held = in_.size();
  in_.resize(held + 256 * 1024);
  const ssize_t n = ::read(channel_.get(), in_.data() + held, 256 * 1024);
  in_.resize(held + (n > 0 ? static_cast<size_t>(n) : 0));
  if (n <= 0) {
    ended_ = true;
    return false;
  }
  size_t at = 0;
  std::vector<std::pair<uint32_t, std::string>> grants;  // sent last: sending may receive again
  for (;;) {
    protocol::Frame frame;
    size_t used = 0;
    const auto status = protocol::decode_frame(std::string_view(in_).substr(at), frame, used);
    REQUIRE(status != protocol::DecodeStatus::malformed);
    if (status == protocol::DecodeStatus::need_more) break;
    at += used;
    if (frame.type == FrameType::ready) {
      got_ready_ = protocol::decode(frame.payload, ready);
      continue;
    }
    if (frame.type == FrameType::failed) {
      REQUIRE(protocol::decode(frame.payload, failed));
      continue;
    }
    if (frame.type == FrameType::started && replies_.count(frame.stream) == 0) continue;  // a request sent by hand, to break a rule
    REQUIRE(replies_.count(frame.stream) == 1);
    Reply& to = replies_[frame.stream];
    REQUIRE_FALSE(to.done);
    switch (frame.type) {
      case FrameType::data: {
        if (frame.kind == DataKind::out || frame.kind == DataKind::err) to.both += frame.payload;
        if (frame.kind == DataKind::gap) {
          REQUIRE(frame.payload.size() == 8);
          to.gaps.emplace_back(to.both.size(), ByteReader(frame.payload).u64());
        }
        if (frame.kind == DataKind::out) to.out += frame.payload;
        if (frame.kind == DataKind::err) to.err += frame.payload;
        if (frame.kind == DataKind::bytes) to.bytes += frame.payload;
        if (frame.kind == DataKind::event) REQUIRE(protocol::decode_watch_events(frame.payload, to.events));
        if (frame.kind == DataKind::entry) REQUIRE(protocol::decode_entries(frame.payload, to.entries));
        if (!grant) break;
        std::string payload;
        ByteWriter(payload).u32(static_cast<uint32_t>(frame.payload.size()));
        grants.emplace_back(frame.stream, std::move(payload));
        break;
      }
      case FrameType::started: to.pid = ByteReader(frame.payload).u32(); break;
      case FrameType::window: to.window += ByteReader(frame.payload).u32(); break;
      case FrameType::end: to.ended = true; break;
      case FrameType::result:
        REQUIRE(protocol::decode(frame.payload, to.result));
        to.done = true;
        break;
      default: FAIL("unexpected frame");
    }
  }
  in_.erase(0, at);
  for (const auto& granted : grants) this->frame(FrameType::window, granted.first, granted.second);
  return true;
}

TemporaryDirectory::TemporaryDirectory() {
  std::string name = (std::filesystem::temp_directory_path() / "stacyvm-agent-XXXXXX").string();
  REQUIRE(::mkdtemp(name.data()) != nullptr);
  path_ = name;
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;  // what a failed test left unremovable stays
  std::filesystem::remove_all(path_, ignored);
}

protocol::ExecRequest shell(const std::string& script) {
  protocol::ExecRequest request;
  request.shell = script;
  return request;
}

std::string read_text(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void write_text(const std::string& path, const std::string& text) {
  std::ofstream out(path, std::ios::binary);
  out << text;
  REQUIRE(out.good());
}

bool can_switch_users() {
  if (::geteuid() == 0) return true;
  MESSAGE("skipped: needs root to become other users");
  return false;
}

}  // namespace svm::agent::test
