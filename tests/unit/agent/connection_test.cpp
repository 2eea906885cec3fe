#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <functional>

#include "agent/connection.hpp"
#include "client.hpp"

using namespace svm;
using namespace svm::agent::test;
using protocol::DataKind;
using protocol::FrameType;

namespace {
constexpr int kExitProtocol = 1;

std::string u32s(std::initializer_list<uint32_t> values) {
  std::string out;
  for (const uint32_t v : values)
    for (int i = 0; i < 4; ++i) out += static_cast<char>(v >> (8 * i) & 0xff);
  return out;
}
bool soon(const std::function<bool()>& condition) {
  for (int i = 0; i < 10'000; ++i) {
    if (condition()) return true;
    ::usleep(1000);
  }
  return false;
}
std::string request(const protocol::ExecRequest& exec) {
  std::string out;
  protocol::encode(out, exec);
  return out;
}
}  // namespace

TEST_CASE("a frame that breaks the rules ends the connection, never more") {
  struct Row { const char* what; std::function<void(Client&)> send; };
  const std::string sleep = request(shell("sleep 100"));
  const Row rows[] = {
      {"unknown type", [](Client& c) { c.frame(static_cast<FrameType>(99), 1, ""); }},
      {"reserved bits", [](Client& c) { c.raw(std::string("\0\0\0\0\x09\0\x01\0\x01\0\0\0", 12)); }},
      {"too large", [](Client& c) { c.raw(u32s({protocol::kMaxPayload + 1}) + std::string("\x04\0\0\0\x01\0\0\0", 8)); }},
      {"request on stream 0", [&](Client& c) { c.frame(FrameType::request, 0, sleep); }},
      {"unreadable request", [](Client& c) { c.frame(FrameType::request, 9, "junk"); }},
      {"request with a byte too many", [&](Client& c) { c.frame(FrameType::request, 9, sleep + "x"); }},
      {"a second hello", [](Client& c) { c.frame(FrameType::hello, 0, ""); }},
      {"what only agents say", [](Client& c) { c.frame(FrameType::result, 1, ""); }},
      {"an id in use", [&](Client& c) { c.frame(FrameType::request, 9, sleep); c.frame(FrameType::request, 9, sleep); }},
      {"data of another kind", [&](Client& c) { c.frame(FrameType::request, 9, sleep); c.frame(FrameType::data, 9, "x", DataKind::out); }},
      {"data after the end", [&](Client& c) { c.frame(FrameType::request, 9, sleep); c.end(9); c.frame(FrameType::data, 9, "x"); }},
      {"two ends", [&](Client& c) { c.frame(FrameType::request, 9, sleep); c.end(9); c.end(9); }},
      {"an end with a payload", [&](Client& c) { c.frame(FrameType::request, 9, sleep); c.frame(FrameType::end, 9, "x"); }},
      {"a window of nothing", [&](Client& c) { c.frame(FrameType::request, 9, sleep); c.frame(FrameType::window, 9, u32s({0})); }},
      {"a short window", [&](Client& c) { c.frame(FrameType::request, 9, sleep); c.frame(FrameType::window, 9, "abc"); }},
      {"signal 0", [&](Client& c) { c.frame(FrameType::request, 9, sleep); c.frame(FrameType::signal, 9, u32s({0, 0})); }},
      {"signal 65", [&](Client& c) { c.frame(FrameType::request, 9, sleep); c.frame(FrameType::signal, 9, u32s({65, 0})); }},
      {"unknown signal flags", [&](Client& c) { c.frame(FrameType::request, 9, sleep); c.frame(FrameType::signal, 9, u32s({9, 4})); }},
      {"a size without rows", [&](Client& c) { c.frame(FrameType::request, 9, sleep); c.frame(FrameType::resize, 9, u32s({0, 80})); }},
      {"a size without columns", [&](Client& c) { c.frame(FrameType::request, 9, sleep); c.frame(FrameType::resize, 9, u32s({24, 0})); }},
      {"too many rows", [&](Client& c) { c.frame(FrameType::request, 9, sleep); c.frame(FrameType::resize, 9, u32s({protocol::kMaxTerminalSide + 1, 80})); }},
      {"too many columns", [&](Client& c) { c.frame(FrameType::request, 9, sleep); c.frame(FrameType::resize, 9, u32s({24, protocol::kMaxTerminalSide + 1})); }},
      {"a short size", [&](Client& c) { c.frame(FrameType::request, 9, sleep); c.frame(FrameType::resize, 9, u32s({24})); }},
  };
  for (const Row& row : rows) {
    CAPTURE(row.what);
    Client client;
    row.send(client);
    CHECK_FALSE(client.pump([] { return false; }, 5000));
    CHECK_FALSE(client.connected());
    CHECK(client.wait_exit() == kExitProtocol);
  }
}

TEST_CASE("one byte of DATA beyond the credit ends the connection, the last one within does not") {
  protocol::ExecRequest stuck = shell("sleep 100");
  stuck.use_stdin = true;
  Client client;
  const uint32_t stream = client.start(stuck);
  // The pipe takes some of it; a grant comes only for a quarter of the window at once, which no pipe holds.
  for (int i = 0; i < 4; ++i) client.frame(FrameType::data, stream, std::string(protocol::kMaxData, 'x'));
  CHECK(client.call(shell("echo alive")).out == "alive\n");
  CHECK(client.reply(stream).window == protocol::kWindow);
  client.frame(FrameType::data, stream, "x");
  CHECK_FALSE(client.pump([] { return false; }, 5000));
  CHECK(client.wait_exit() == kExitProtocol);
}

TEST_CASE("frames for a stream that has ended are passed over, and its id is free again") {
  Client client;
  client.frame(FrameType::cancel, 77, "");
  client.frame(FrameType::data, 77, "x");
  client.frame(FrameType::end, 77, "");
  client.frame(FrameType::window, 77, u32s({1}));
  client.signal(77, 9, true);
  CHECK(client.call(shell("echo still")).out == "still\n");
  for (int i = 0; i < 3; ++i) {
    client.reply(77) = {};
    client.frame(FrameType::request, 77, request(shell("echo again")));
    CHECK(client.wait(77).out == "again\n");
  }
}

TEST_CASE("kMaxStreams requests are open at once, one more ends the connection") {
  TemporaryDirectory dir;
  rlimit files{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &files) == 0);
  const rlimit enough{std::min<rlim_t>(4096, files.rlim_max), files.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &enough) == 0);
  if (enough.rlim_cur < 2 * protocol::kMaxStreams) {
    MESSAGE("skipped: too few descriptors allowed");
    return;
  }
  Client client;
  // A write stays open until its end comes.
  protocol::WriteRequest write;
  for (uint32_t i = 0; i < protocol::kMaxStreams; ++i) {
    write.path = dir / std::to_string(i);
    client.start(write);
  }
  CHECK_FALSE(client.pump([] { return false; }, 500));
  CHECK(client.connected());
  client.cancel(1);
  CHECK(client.wait(1).result.code == Code::cancelled);
  const uint32_t last = client.start(write);  // there is room for one again
  CHECK_FALSE(client.pump([&] { return client.reply(last).done; }, 300));
  CHECK(client.connected());
  client.start(write);
  CHECK_FALSE(client.pump([] { return false; }, 5000));
  CHECK_FALSE(client.connected());
  CHECK(client.wait_exit() == kExitProtocol);
}

TEST_CASE("frames arrive in any pieces") {
  Client client;
  std::string bytes;
  protocol::encode_frame(bytes, FrameType::request, 500, request(shell("cat; echo end")));
  client.reply(500);
  for (const char byte : bytes) {
    client.raw(std::string(1, byte));
    ::usleep(100);
  }
  CHECK(client.wait(500).out == "end\n");
  // And many at once.
  bytes.clear();
  for (uint32_t i = 600; i < 620; ++i) {
    client.reply(i);
    protocol::encode_frame(bytes, FrameType::request, i, request(shell("echo " + std::to_string(i))));
  }
  client.raw(bytes);
  for (uint32_t i = 600; i < 620; ++i) CHECK(client.wait(i).out == std::to_string(i) + "\n");
}

TEST_CASE("a socket that was full is remembered until those who wait have been told, however soon it has room again") {
  Fd host, agent_end;
  REQUIRE(make_socketpair(SOCK_STREAM, host, agent_end) == 0);
  agent::Connection connection(agent_end.get());
  REQUIRE(connection.error() == 0);
  CHECK_FALSE(connection.relief_due());
  while (!connection.congested()) connection.send_data(1, DataKind::out, protocol::kMaxData);
  CHECK_FALSE(connection.relief_due());
  // All of it is taken between the filling and the end of the same round.
  std::string taken(1 << 20, ' ');
  for (; connection.congested(); connection.flush()) REQUIRE(::recv(host.get(), taken.data(), taken.size(), 0) > 0);
  CHECK(connection.relief_due());
  connection.flush();
  CHECK(connection.relief_due());
  connection.take_relief();
  CHECK_FALSE(connection.relief_due());
}

TEST_CASE("what the host said before it died is heard to its end, although nobody hears the answers") {
  TemporaryDirectory dir;
  Fd control, agent_control;
  REQUIRE(make_socketpair(SOCK_SEQPACKET, control, agent_control) == 0);
  Client::Setup setup;
  setup.options.control = agent_control.get();  // another host may come: what runs in the background goes on
  setup.close_in_agent = control.get();
  Client client(setup);
  if (!client.widen_channel(8 << 20)) {
    MESSAGE("skipped: needs root for a channel of that size");
    return;
  }
  // The command stops the agent, so that all lies in the channel and the host is gone when it goes on.
  protocol::ExecRequest request = shell("touch " + (dir / "stopping") + "; kill -STOP $PPID; sleep 0.5; kill -CONT $PPID; cat > " + (dir / "heard"));
  request.id = "exec-1";
  request.background = request.use_stdin = true;
  client.start(request);
  REQUIRE(soon([&] { return std::filesystem::exists(dir / "stopping"); }));
  ::usleep(50'000);
  const uint32_t stream = client.start(protocol::AttachRequest{"exec-1", 0, false});
  const uint32_t other = client.start(shell("echo an answer"));  // and an answer to each of its parts
  CHECK(other != stream);
  for (size_t sent = 0; sent < protocol::kWindow; sent += protocol::kMaxData) client.frame(FrameType::data, stream, std::string(protocol::kMaxData, 'x'));
  client.end(stream);
  client.close_channel();
  CHECK(soon([&] { return std::filesystem::exists(dir / "heard") && std::filesystem::file_size(dir / "heard") == protocol::kWindow; }));
  control.reset();
  CHECK(client.wait_exit() == 0);
}

TEST_CASE("commands that fill the channel together all come to their end") {
  Client client;
  constexpr size_t kBytes = 2'000'000;
  for (int round = 0; round < 10; ++round) {
    std::vector<uint32_t> streams;
    for (int i = 0; i < 8; ++i) streams.push_back(client.start(shell("head -c " + std::to_string(kBytes) + " /dev/zero")));
    for (const uint32_t stream : streams) CHECK(client.wait(stream).out.size() == kBytes);
  }
}

TEST_CASE("the first frame must be a hello of this version") {
  const auto first = [](const std::string& bytes) {
    Fd host, agent_end;
    REQUIRE(make_socketpair(SOCK_STREAM, host, agent_end) == 0);
    REQUIRE(write_all(host.get(), bytes.data(), bytes.size()) == 0);
    ::shutdown(host.get(), SHUT_WR);
    agent::AgentOptions options;
    options.lock_down = false;
    options.channel = agent_end.get();
    const pid_t pid = ::fork();
    if (pid == 0) ::_exit(agent::run(options));
    agent_end.reset();
    char answer[256];
    const long n = read_all(host.get(), answer, sizeof answer);
    REQUIRE(n > 0);
    protocol::Frame frame;
    size_t used = 0;
    REQUIRE(protocol::decode_frame(std::string_view(answer, static_cast<size_t>(n)), frame, used) == protocol::DecodeStatus::frame);
    REQUIRE(frame.type == FrameType::failed);
    protocol::StepFailure failure;
    REQUIRE(protocol::decode(frame.payload, failure));
    CHECK(failure.step == protocol::Step::hello);
    return failure.error;
  };
  protocol::Hello hello = Client::Setup().hello;
  hello.version = protocol::kVersion + 1;
  std::string payload, bytes;
  protocol::encode(payload, hello);
  protocol::encode_frame(bytes, FrameType::hello, 0, payload);
  CHECK(first(bytes) == EPROTONOSUPPORT);
  bytes.clear();
  protocol::encode_frame(bytes, FrameType::request, 1, request(shell("true")));
  CHECK(first(bytes) == EBADMSG);
  bytes.clear();
  protocol::encode_frame(bytes, FrameType::hello, 0, payload + "x");
  CHECK(first(bytes) == EBADMSG);
  CHECK(first("") == ECONNRESET);
}

TEST_CASE("a host that asks and never listens does not make the agent grow without end") {
  Fd host, agent_end;
  REQUIRE(make_socketpair(SOCK_STREAM, host, agent_end) == 0);
  agent::AgentOptions options;
  options.lock_down = false;
  options.channel = agent_end.get();
  const pid_t pid = ::fork();
  if (pid == 0) {
    host.reset();
    ::_exit(agent::run(options));
  }
  agent_end.reset();
  std::string payload, bytes;
  protocol::encode(payload, Client::Setup().hello);
  protocol::encode_frame(bytes, FrameType::hello, 0, payload);
  REQUIRE(write_all(host.get(), bytes.data(), bytes.size()) == 0);
  protocol::StatRequest stat;
  stat.path = "/" + std::string(3000, 'x');  // each answer is 500 bytes of message
  payload.clear();
  protocol::encode(payload, stat);
  REQUIRE(set_nonblocking(host.get(), true) == 0);
  size_t sent = 0;
  int idle = 0;
  for (uint32_t i = 1; idle < 50 && sent < 200u * 1024 * 1024; ++i) {
    bytes.clear();
    protocol::encode_frame(bytes, FrameType::request, i, payload);
    for (size_t at = 0; at < bytes.size() && idle < 50;) {
      const ssize_t n = ::send(host.get(), bytes.data() + at, bytes.size() - at, MSG_NOSIGNAL);
      if (n > 0) {
        at += static_cast<size_t>(n);
        sent += static_cast<size_t>(n);
        idle = 0;
      } else {
        REQUIRE(errno == EAGAIN);
        ++idle;
        ::usleep(10'000);
      }
    }
  }
  CHECK(idle == 50);  // it stopped taking requests
  CHECK(sent < 64u * 1024 * 1024);
}
