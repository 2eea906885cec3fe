#include "channel/channel.hpp"

#include <doctest/doctest.h>

#include "peer.hpp"

using namespace svm;
using namespace svm::channel;
using namespace svm::channel::test;

TEST_CASE("hello, ready, request, result") {
  Wire wire(false);
  auto stream = wire.channel->request(protocol::Op::stat, stat_payload());  // before READY
  const OwnedFrame request = wire.peer.expect(FrameType::request);
  CHECK(request.payload == stat_payload());
  CHECK(wire.channel->open_streams() == 1);
  Piece piece;
  CHECK(stream->next(0, piece) == Stream::Next::again);
  CHECK(stream->result() == nullptr);
  CHECK_FALSE(stream->readable());
  wire.peer.send_ready();
  wire.peer.send_result(request.stream, "body");
  CHECK(stream->next(kLong, piece) == Stream::Next::end);
  REQUIRE(stream->result() != nullptr);
  CHECK(stream->result()->code == Code::ok);
  CHECK(stream->result()->body == "body");
  CHECK(stream->next(-1, piece) == Stream::Next::end);
  CHECK(wire.channel->open_streams() == 0);
  REQUIRE(wire.opening.ready.has_value());
  CHECK(wire.opening.ready->enforced == 5);
  CHECK(wire.opening.ready->landlock_abi == 7);
  CHECK(wire.opening_on_thread);
}

TEST_CASE("hello says what it was given") {
  Reactor reactor;
  Fd host, agent;
  REQUIRE(make_socketpair(SOCK_STREAM, host, agent) == 0);
  const auto channel = Channel::create(reactor, std::move(host), hello(), nullptr, nullptr);
  Peer peer(std::move(agent));
  protocol::Hello back;
  REQUIRE(decode(peer.expect(FrameType::hello).payload, back));
  CHECK(back == hello());
}

TEST_CASE("a boundary that could not be built is told, then everything ends") {
  Wire wire(false);
  auto stream = wire.channel->request(protocol::Op::stat, stat_payload());
  std::string payload;
  encode(payload, protocol::StepFailure{protocol::Step::proc, 1});
  wire.peer.send(FrameType::failed, 0, payload);
  wire.peer.hang_up();
  REQUIRE(wire.wait_closed());
  REQUIRE(wire.opening.failure.has_value());
  CHECK(wire.opening.failure->step == protocol::Step::proc);
  CHECK_FALSE(wire.opening.ready.has_value());
  Piece piece;
  CHECK(stream->next(kLong, piece) == Stream::Next::end);
  CHECK(stream->result()->code == Code::unavailable);
  CHECK(stream->result()->message.find("mount_proc") != std::string::npos);
  CHECK(code_of([&] { wire.channel->request(protocol::Op::stat, stat_payload()); }) == Code::closed);
}

TEST_CASE("the agent's last words are heard although the host was writing") {
  // A peer that has hung up makes writes fail at once; FAILED is still in the socket.
  for (int round = 0; round < 50; ++round) {
    Wire wire(false);
    std::string payload;
    encode(payload, protocol::StepFailure{protocol::Step::seccomp, 22});
    wire.peer.send(FrameType::failed, 0, payload);
    wire.peer.hang_up();
    code_of([&] {
      for (int i = 0; i < 10; ++i) wire.channel->request(protocol::Op::stat, stat_payload());
    });
    REQUIRE(wire.wait_closed());
    CHECK(wire.opening.failure.has_value());
  }
}

TEST_CASE("what request() refuses") {
  Wire wire;
  CHECK(code_of([&] { wire.channel->request(protocol::Op::exec, stat_payload()); }) == Code::invalid);
  CHECK(code_of([&] { wire.channel->request(protocol::Op::exec, ""); }) == Code::invalid);
  std::string payload = exec_payload();
  payload.resize(protocol::kMaxPayload + 1);
  CHECK(code_of([&] { wire.channel->request(protocol::Op::exec, payload); }) == Code::invalid);
  CHECK(wire.channel->open_streams() == 0);
  payload.resize(protocol::kMaxPayload);
  std::thread request([&] { auto stream = wire.channel->request(protocol::Op::exec, payload); });
  CHECK(wire.peer.expect(FrameType::request).payload == payload);
  request.join();
}

TEST_CASE("as many streams as allowed, not one more, answered in any order") {
  Wire wire;
  std::vector<std::shared_ptr<Stream>> streams;
  std::vector<uint32_t> ids;
  for (uint32_t i = 0; i < protocol::kMaxStreams; ++i) {
    streams.push_back(wire.channel->request(protocol::Op::exec, exec_payload()));
    ids.push_back(wire.peer.expect(FrameType::request).stream);
  }
  CHECK(std::set<uint32_t>(ids.begin(), ids.end()).size() == protocol::kMaxStreams);
  CHECK(wire.channel->open_streams() == protocol::kMaxStreams);
  CHECK(code_of([&] { wire.channel->request(protocol::Op::exec, exec_payload()); }) == Code::limit);
  for (size_t i = 0; i < ids.size(); ++i) {
    const size_t at = (i * 7) % ids.size();  // 7 and 1024 share no factor: every one once
    wire.peer.send(FrameType::data, ids[at], "out " + std::to_string(at), DataKind::out);
    wire.peer.send_result(ids[at], std::to_string(at));
  }
  for (size_t i = 0; i < ids.size(); ++i) {
    Piece piece;
    REQUIRE(streams[i]->next(kLong, piece) == Stream::Next::piece);
    CHECK(piece.kind == DataKind::out);
    CHECK(piece.data == "out " + std::to_string(i));
    REQUIRE(streams[i]->next(kLong, piece) == Stream::Next::end);
    CHECK(streams[i]->result()->body == std::to_string(i));
  }
  CHECK(wire.channel->open_streams() == 0);
  auto again = wire.channel->request(protocol::Op::exec, exec_payload());
  CHECK(wire.channel->open_streams() == 1);
}

TEST_CASE("many callers at once") {
  Wire wire;
  std::thread agent([&] {
    while (auto frame = wire.peer.read()) {
      if (frame->type != FrameType::request) continue;
      wire.peer.send(FrameType::data, frame->stream, frame->payload, DataKind::out);
      wire.peer.send_result(frame->stream, frame->payload);
    }
  });
  std::atomic<int> right = 0;
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 8; ++caller)
    callers.emplace_back([&, caller] {
      for (int i = 0; i < 200; ++i) {
        std::string payload;
        encode(payload, protocol::StatRequest{.path = "/" + std::to_string(caller) + "/" + std::to_string(i)});
        auto stream = wire.channel->request(protocol::Op::stat, payload);
        Piece piece;
        if (stream->next(kLong, piece) != Stream::Next::piece || piece.data != payload) continue;
        if (stream->next(kLong, piece) != Stream::Next::end || stream->result()->body != payload) continue;
        ++right;
      }
    });
  for (auto& caller : callers) caller.join();
  CHECK(right == 8 * 200);
  wire.channel->close();
  agent.join();
}

TEST_CASE("many channels on one reactor") {
  Reactor reactor;
  std::vector<std::shared_ptr<Channel>> channels;
  std::vector<std::unique_ptr<Peer>> peers;
  for (int i = 0; i < 100; ++i) {
    Fd host, agent;
    REQUIRE(make_socketpair(SOCK_STREAM, host, agent) == 0);
    channels.push_back(Channel::create(reactor, std::move(host), hello(), nullptr, nullptr));
    peers.push_back(std::make_unique<Peer>(std::move(agent)));
    peers.back()->send_ready();
  }
  for (size_t i = 0; i < channels.size(); ++i) {
    auto stream = channels[i]->request(protocol::Op::stat, stat_payload());
    peers[i]->expect(FrameType::hello);
    peers[i]->send_result(peers[i]->expect(FrameType::request).stream, std::to_string(i));
    Piece piece;
    REQUIRE(stream->next(kLong, piece) == Stream::Next::end);
    CHECK(stream->result()->body == std::to_string(i));
  }
}
