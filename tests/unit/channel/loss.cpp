// The connection is lost, or the agent breaks a rule, in every state: each stream ends, each callback comes once, nothing else is hurt.
#include <doctest/doctest.h>

#include "peer.hpp"

using namespace svm;
using namespace svm::channel;
using namespace svm::channel::test;

namespace {
void check_closed(Wire& wire, bool ready) {
  REQUIRE(wire.wait_closed());
  CHECK(wire.open_calls == 1);
  CHECK(wire.closed_calls == 1);
  CHECK(wire.closed_on_thread);
  CHECK(wire.open_before_closed);
  CHECK(wire.opening.ready.has_value() == ready);
  CHECK(wire.channel->open_streams() == 0);
  CHECK(code_of([&] { wire.channel->request(protocol::Op::stat, stat_payload()); }) == Code::closed);
  wire.channel->close();
}

/// What an agent does with stream `id` that it must not do.
struct Violation {
  const char* name;
  void (*commit)(Peer& peer, uint32_t id);
};

const Violation kViolations[] = {
    {"unknown type", [](Peer& p, uint32_t) { p.send_raw(std::string("\0\0\0\0\xff\0\0\0\1\0\0\0", 12)); }},
    {"reserved bits", [](Peer& p, uint32_t) { p.send_raw(std::string("\0\0\0\0\7\0\1\0\1\0\0\0", 12)); }},
    {"too large", [](Peer& p, uint32_t) { p.send_raw(std::string("\1\0\x10\0\5\0\0\0\1\0\0\0", 12)); }},
    {"garbage", [](Peer& p, uint32_t) { p.send_raw(std::string(4096, '\xaa')); }},
    {"second READY", [](Peer& p, uint32_t) { p.send_ready(); }},
    {"REQUEST", [](Peer& p, uint32_t id) { p.send(FrameType::request, id, stat_payload()); }},
    {"CANCEL", [](Peer& p, uint32_t id) { p.send(FrameType::cancel, id); }},
    {"SIGNAL", [](Peer& p, uint32_t id) { p.send(FrameType::signal, id, "12345678"); }},
    {"DATA for a stream that never was", [](Peer& p, uint32_t id) { p.send(FrameType::data, id + 1, "x"); }},
    {"RESULT for a stream that never was", [](Peer& p, uint32_t id) { p.send_result(id + 1); }},
    {"two RESULTs", [](Peer& p, uint32_t id) { p.send_result(id), p.send_result(id); }},
    {"malformed RESULT", [](Peer& p, uint32_t id) { p.send(FrameType::result, id, "x"); }},
    {"DATA after END", [](Peer& p, uint32_t id) { p.send(FrameType::end, id), p.send(FrameType::data, id, "x"); }},
    {"two ENDs", [](Peer& p, uint32_t id) { p.send(FrameType::end, id), p.send(FrameType::end, id); }},
    {"END with a payload", [](Peer& p, uint32_t id) { p.send(FrameType::end, id, "x"); }},
    {"short WINDOW", [](Peer& p, uint32_t id) { p.send(FrameType::window, id, "abc"); }},
    {"long WINDOW", [](Peer& p, uint32_t id) { p.send(FrameType::window, id, "abcde"); }},
    {"STARTED twice", [](Peer& p, uint32_t id) { p.send_number(FrameType::started, id, 1), p.send_number(FrameType::started, id, 2); }},
    {"STARTED as 0", [](Peer& p, uint32_t id) { p.send_number(FrameType::started, id, 0); }},
    {"short STARTED", [](Peer& p, uint32_t id) { p.send(FrameType::started, id, "a"); }},
};
}  // namespace

TEST_CASE("a rule broken ends the connection of who broke it, and no other") {
  Wire bystander;
  for (const Violation& violation : kViolations) {
    CAPTURE(violation.name);
    Wire wire;
    auto stream = wire.channel->request(protocol::Op::exec, exec_payload());
    auto other = wire.channel->request(protocol::Op::stat, stat_payload());
    const uint32_t id = wire.peer.expect(FrameType::request).stream;
    violation.commit(wire.peer, std::string_view(violation.name).find("never was") == std::string_view::npos ? id : id + 1);
    check_closed(wire, true);
    Piece piece;
    CHECK(other->next(0, piece) == Stream::Next::end);
    CHECK(other->result()->code == Code::io);
    wire.peer.expect_end_of_file();
  }
  auto stream = bystander.channel->request(protocol::Op::stat, stat_payload());
  bystander.peer.send_result(bystander.peer.expect(FrameType::request).stream);
  Piece piece;
  CHECK(stream->next(kLong, piece) == Stream::Next::end);
  CHECK(stream->result()->code == Code::ok);
}

TEST_CASE("STARTED belongs to exec") {
  Wire wire;
  auto stream = wire.channel->request(protocol::Op::stat, stat_payload());
  wire.peer.send_number(FrameType::started, wire.peer.expect(FrameType::request).stream, 7);
  check_closed(wire, true);
}

TEST_CASE("frames for a stream that has ended are ignored") {
  Wire wire;
  auto stream = wire.channel->request(protocol::Op::exec, exec_payload());
  const uint32_t id = wire.peer.expect(FrameType::request).stream;
  wire.peer.send_result(id);
  wire.peer.send(FrameType::data, id, "late", DataKind::out);
  wire.peer.send_number(FrameType::window, id, 5);
  wire.peer.send(FrameType::end, id);
  auto next = wire.channel->request(protocol::Op::stat, stat_payload());
  wire.peer.send_result(wire.peer.expect(FrameType::request).stream);
  Piece piece;
  CHECK(next->next(kLong, piece) == Stream::Next::end);
  CHECK(next->result()->code == Code::ok);
  CHECK(stream->next(kLong, piece) == Stream::Next::end);
}

TEST_CASE("the first frame must be READY or FAILED, well-formed, of our version") {
  const auto first = [](FrameType type, uint32_t stream, std::string payload) {
    Wire wire(false);
    auto request = wire.channel->request(protocol::Op::stat, stat_payload());
    wire.peer.send(type, stream, payload);
    check_closed(wire, false);
    CHECK_FALSE(wire.opening.failure.has_value());
    Piece piece;
    CHECK(request->next(0, piece) == Stream::Next::end);
    CHECK(request->result()->code == Code::io);
  };
  first(FrameType::data, 1, "x");
  first(FrameType::hello, 0, "");
  first(FrameType::ready, 0, "short");
  first(FrameType::failed, 0, "x");
  std::string other_version;
  encode(other_version, protocol::Ready{.version = protocol::kVersion + 1});
  first(FrameType::ready, 0, other_version);
}

TEST_CASE("lost before READY, idle, with requests, in the middle of a frame") {
  SUBCASE("before READY") {
    Wire wire(false);
    wire.peer.hang_up();
    check_closed(wire, false);
  }
  SUBCASE("idle") {
    Wire wire;
    wire.peer.hang_up();
    check_closed(wire, true);
  }
  SUBCASE("requests open, a reader and a writer waiting") {
    Wire wire;
    auto reading = wire.channel->request(protocol::Op::exec, exec_payload());
    auto writing = wire.channel->request(protocol::Op::exec, exec_payload());
    wire.peer.expect(FrameType::request);
    wire.peer.expect(FrameType::request);
    const std::string window(protocol::kWindow, 'w');
    std::thread drain([&] {
      for (size_t got = 0; got < window.size();) got += wire.peer.expect(FrameType::data).payload.size();
    });
    for (size_t sent = 0; sent < window.size();) sent += writing->write(window.data(), window.size() - sent, kLong);
    drain.join();
    std::thread reader([&] {
      Piece piece;
      CHECK(reading->next(-1, piece) == Stream::Next::end);
      CHECK(reading->result()->code == Code::closed);
    });
    std::thread writer([&] { CHECK(code_of([&] { writing->write("x", 1, -1); }) == Code::closed); });
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    wire.peer.hang_up();
    reader.join();
    writer.join();
    check_closed(wire, true);
    CHECK(writing->writable());  // to hear of the end
    writing->cancel();
    writing->finish();
    CHECK(code_of([&] { writing->send_signal(9, true); }) == Code::closed);
  }
  SUBCASE("in a header") {
    Wire wire;
    wire.peer.send_raw("abc");
    wire.peer.hang_up();
    check_closed(wire, true);
  }
  SUBCASE("in a payload; what came before it is kept") {
    Wire wire;
    auto stream = wire.channel->request(protocol::Op::exec, exec_payload());
    const uint32_t id = wire.peer.expect(FrameType::request).stream;
    wire.peer.send(FrameType::data, id, "whole", DataKind::out);
    std::string frame;
    encode_frame(frame, FrameType::data, id, "torn", DataKind::out);
    wire.peer.send_raw(std::string_view(frame).substr(0, frame.size() - 1));
    wire.peer.hang_up();
    check_closed(wire, true);
    Piece piece;
    REQUIRE(stream->next(0, piece) == Stream::Next::piece);
    CHECK(piece.data == "whole");
    CHECK(stream->next(0, piece) == Stream::Next::end);
    CHECK(stream->result()->code == Code::closed);
  }
  SUBCASE("while the host's queue is full") {
    Wire wire;
    auto stream = wire.channel->request(protocol::Op::exec, exec_payload());
    const std::string window(protocol::kWindow, 'w');
    CHECK(stream->write(window.data(), window.size(), 0) == window.size());
    wire.peer.hang_up();
    check_closed(wire, true);
  }
}

TEST_CASE("close() ends everything at once, from any thread, as often as one likes") {
  Wire wire;
  auto stream = wire.channel->request(protocol::Op::exec, exec_payload());
  std::vector<std::thread> closers;
  for (int i = 0; i < 4; ++i) closers.emplace_back([&] { wire.channel->close(); });
  for (auto& closer : closers) closer.join();
  Piece piece;
  CHECK(stream->next(kLong, piece) == Stream::Next::end);
  CHECK(stream->result()->code == Code::closed);
  check_closed(wire, true);
  wire.peer.expect_end_of_file();
}

TEST_CASE("dropping the channel closes it; its streams outlive it, and the reactor") {
  std::shared_ptr<Stream> stream;
  {
    Wire wire;
    stream = wire.channel->request(protocol::Op::exec, exec_payload());
    wire.channel.reset();
    CHECK(wire.wait_closed());
    wire.peer.expect_end_of_file();
  }
  Piece piece;
  CHECK(stream->next(-1, piece) == Stream::Next::end);
  CHECK(stream->result()->code == Code::closed);
  stream->cancel();
  CHECK(code_of([&] { stream->write("x", 1, -1); }) == Code::closed);
}

TEST_CASE("stopping the reactor ends its channels") {
  Wire wire;
  auto stream = wire.channel->request(protocol::Op::exec, exec_payload());
  std::thread reader([&] {
    Piece piece;
    CHECK(stream->next(-1, piece) == Stream::Next::end);
  });
  wire.reactor.stop();
  reader.join();
  check_closed(wire, true);
  wire.peer.expect_end_of_file();
  Fd host, agent;
  REQUIRE(make_socketpair(SOCK_STREAM, host, agent) == 0);
  CHECK(code_of([&] { Channel::create(wire.reactor, std::move(host), hello(), nullptr, nullptr); }) == Code::closed);
}

TEST_CASE("the channel may be closed and dropped from its own callbacks") {
  Reactor reactor;
  Fd host, agent;
  REQUIRE(make_socketpair(SOCK_STREAM, host, agent) == 0);
  std::shared_ptr<Channel> channel;
  std::promise<void> set, closed;
  auto is_set = set.get_future();
  channel = Channel::create(
      reactor, std::move(host), hello(),
      [&](const Opening& opening) {
        is_set.wait();
        CHECK(opening.ready.has_value());
        channel.reset();
      },
      [&] { closed.set_value(); });
  set.set_value();
  Peer peer(std::move(agent));
  peer.send_ready();
  CHECK(closed.get_future().wait_for(std::chrono::seconds(kPatience)) == std::future_status::ready);
}

TEST_CASE("closing while callers and the agent are busy") {
  for (int round = 0; round < 20; ++round) {
    Wire wire;
    std::thread agent([&] {
      try {
        while (auto frame = wire.peer.read()) {
          if (frame->type != FrameType::request) continue;
          wire.peer.send(FrameType::data, frame->stream, "x", DataKind::out);
          wire.peer.send_result(frame->stream);
        }
      } catch (const std::runtime_error&) {
        FAIL_CHECK("the host broke the protocol");
      }
    });
    std::vector<std::thread> callers;
    for (int i = 0; i < 3; ++i)
      callers.emplace_back([&] {
        const Code code = code_of([&] {
          for (;;) {
            auto stream = wire.channel->request(protocol::Op::exec, exec_payload());
            Piece piece;
            while (stream->next(kLong, piece) == Stream::Next::piece) continue;
          }
        });
        CHECK(code == Code::closed);
      });
    std::this_thread::sleep_for(std::chrono::milliseconds(round));
    wire.channel->close();
    for (auto& caller : callers) caller.join();
    agent.join();
  }
}
