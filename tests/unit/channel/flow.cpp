// Credit: neither side sends what the other has no room for, and one slow stream costs the others nothing.
#include <doctest/doctest.h>

#include "peer.hpp"

using namespace svm;
using namespace svm::channel;
using namespace svm::channel::test;

namespace {
struct Opened {
  Opened(Wire& wire, protocol::Op op) : stream(wire.channel->request(op, op == protocol::Op::exec ? exec_payload() : stat_payload())),
                                        id(wire.peer.expect(FrameType::request).stream) {}
  std::shared_ptr<Stream> stream;
  uint32_t id;
};
}  // namespace

TEST_CASE("a reader that does not read stops only its own stream") {
  Wire wire;
  Opened slow(wire, protocol::Op::exec);
  const std::string data(protocol::kMaxData, 'x');
  for (uint32_t sent = 0; sent < protocol::kWindow; sent += protocol::kMaxData) wire.peer.send(FrameType::data, slow.id, data, DataKind::out);
  // The slow stream's credit is used up; others go on.
  Opened fast(wire, protocol::Op::exec);
  size_t got = 0;
  std::thread reader([&] {
    Piece piece;
    while (fast.stream->next(kLong, piece) == Stream::Next::piece) got += piece.data.size();
  });
  size_t credit = protocol::kWindow;
  size_t sent = 0;
  constexpr size_t kTotal = 16 * 1024 * 1024;
  while (sent < kTotal) {
    while (credit < data.size()) {
      const OwnedFrame window = wire.peer.expect(FrameType::window);
      REQUIRE(window.stream == fast.id);
      credit += window.number();
    }
    wire.peer.send(FrameType::data, fast.id, data, DataKind::out);
    credit -= data.size();
    sent += data.size();
  }
  wire.peer.send_result(fast.id);
  reader.join();
  CHECK(got == kTotal);

  // The slow one lost nothing, and its credit comes back as it reads.
  Piece piece;
  size_t slow_got = 0;
  while (slow_got < protocol::kWindow) {
    REQUIRE(slow.stream->next(kLong, piece) == Stream::Next::piece);
    slow_got += piece.data.size();
  }
  CHECK(slow.stream->next(0, piece) == Stream::Next::again);
  size_t granted = 0;
  while (granted < protocol::kWindow) {
    const OwnedFrame window = wire.peer.expect(FrameType::window);
    if (window.stream == slow.id) granted += window.number();
  }
  CHECK(granted == protocol::kWindow);
}

TEST_CASE("one byte beyond the credit ends the connection, one less does not") {
  Wire wire;
  Opened exec(wire, protocol::Op::exec);
  const std::string data(protocol::kMaxData, 'x');
  for (uint32_t sent = 0; sent < protocol::kWindow; sent += protocol::kMaxData) wire.peer.send(FrameType::data, exec.id, data, DataKind::out);
  Opened other(wire, protocol::Op::stat);
  wire.peer.send_result(other.id);
  Piece piece;
  REQUIRE(other.stream->next(kLong, piece) == Stream::Next::end);
  CHECK(other.stream->result()->code == Code::ok);
  wire.peer.send(FrameType::data, exec.id, "x", DataKind::out);
  REQUIRE(wire.wait_closed());
  size_t held = 0;
  while (exec.stream->next(kLong, piece) == Stream::Next::piece) held += piece.data.size();
  CHECK(held == protocol::kWindow);
  CHECK(exec.stream->result()->code == Code::io);
}

TEST_CASE("writing takes what the credit allows, waits for more, and times out") {
  Wire wire;
  Opened exec(wire, protocol::Op::exec);
  const std::string data(protocol::kWindow + 1000, 'd');
  std::string got;
  std::thread agent([&] {
    while (got.size() < protocol::kWindow) {
      const OwnedFrame frame = wire.peer.expect(FrameType::data);
      CHECK(frame.payload.size() <= protocol::kMaxData);
      got += frame.payload;
    }
  });
  CHECK(exec.stream->write(data.data(), 0, kLong) == 0);
  CHECK(exec.stream->write(data.data(), data.size(), kLong) == protocol::kWindow);
  agent.join();
  CHECK(got.size() == protocol::kWindow);
  CHECK(exec.stream->write("x", 1, 0) == 0);
  const auto start = std::chrono::steady_clock::now();
  CHECK(exec.stream->write("x", 1, 30) == 0);
  CHECK(std::chrono::steady_clock::now() - start >= std::chrono::milliseconds(30));
  std::thread granter([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    wire.peer.send_number(FrameType::window, exec.id, 10);
  });
  CHECK(exec.stream->write(data.data(), 100, -1) == 10);
  granter.join();
  CHECK(wire.peer.expect(FrameType::data).payload.size() == 10);
  // A writer that waits is woken by the end.
  std::thread ender([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    wire.peer.send_result(exec.id);
  });
  CHECK(code_of([&] { exec.stream->write("x", 1, -1); }) == Code::closed);
  ender.join();
}

TEST_CASE("credit up to the window and not beyond") {
  for (const uint32_t credit : {0u, 1u}) {
    Wire wire;
    Opened exec(wire, protocol::Op::exec);
    wire.peer.send_number(FrameType::window, exec.id, credit);  // nothing was sent: nothing can be given back
    CHECK(wire.wait_closed());
  }
  Wire wire;
  Opened exec(wire, protocol::Op::exec);
  REQUIRE(exec.stream->write("abc", 3, kLong) == 3);
  wire.peer.expect(FrameType::data);
  wire.peer.send_number(FrameType::window, exec.id, 3);
  wire.peer.send_result(exec.id);
  Piece piece;
  REQUIRE(exec.stream->next(kLong, piece) == Stream::Next::end);
  CHECK(exec.stream->result()->code == Code::ok);
}

TEST_CASE("an agent that does not read holds writers up, not memory, and they go on when it reads") {
  Wire wire;
  std::vector<Opened> execs;
  for (int i = 0; i < 32; ++i) execs.emplace_back(wire, protocol::Op::exec);
  const std::string data(protocol::kWindow, 'w');
  size_t taken = 0;
  for (Opened& exec : execs) taken += exec.stream->write(data.data(), data.size(), 0);
  CHECK(taken >= 4 * 1024 * 1024);  // the queue's bound
  CHECK(taken < 8 * 1024 * 1024);   // and what is in the socket and the last frame beyond
  CHECK_FALSE(execs.back().stream->writable());
  CHECK(execs.back().stream->write("x", 1, 0) == 0);
  CHECK(code_of([&] { execs.back().stream->send_signal(1, false); }) == Code::limit);
  std::atomic<int> hooks = 0;
  execs.back().stream->set_notify([&] { ++hooks; });
  std::thread writer([&] { CHECK(execs.back().stream->write("last", 4, kLong) == 4); });
  size_t got = 0;
  bool last = false;
  while (!last) {
    const OwnedFrame frame = wire.peer.expect(FrameType::data);
    last = frame.payload == "last";
    got += frame.payload.size();
  }
  writer.join();
  CHECK(got == taken + 4);
  CHECK(hooks > 0);
}
