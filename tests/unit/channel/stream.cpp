// One stream: signals, cancel, the hook, and what happens when nobody waits for it any more.
#include <doctest/doctest.h>

#include "peer.hpp"

using namespace svm;
using namespace svm::channel;
using namespace svm::channel::test;

namespace {
struct Exec : Wire {
  Exec() : stream(channel->request(protocol::Op::exec, exec_payload())), id(peer.expect(FrameType::request).stream) {}
  std::shared_ptr<Stream> stream;
  uint32_t id;
  Piece piece;
};
}  // namespace

TEST_CASE("next() waits as long as it is told") {
  Exec exec;
  const auto start = std::chrono::steady_clock::now();
  CHECK(exec.stream->next(30, exec.piece) == Stream::Next::again);
  CHECK(std::chrono::steady_clock::now() - start >= std::chrono::milliseconds(30));
  std::thread later([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    exec.peer.send(FrameType::data, exec.id, "late", DataKind::err);
  });
  CHECK(exec.stream->next(-1, exec.piece) == Stream::Next::piece);
  CHECK(exec.piece.kind == DataKind::err);
  CHECK(exec.piece.data == "late");
  later.join();
  exec.peer.send_result(exec.id);
  CHECK(exec.stream->next(INT64_MAX, exec.piece) == Stream::Next::end);
}

TEST_CASE("pieces keep their order and kind; small ones of one kind are merged") {
  Exec exec;
  for (int i = 0; i < 10; ++i) exec.peer.send(FrameType::data, exec.id, "o", DataKind::out);
  exec.peer.send(FrameType::data, exec.id, "e", DataKind::err);
  exec.peer.send(FrameType::data, exec.id, "p", DataKind::out);
  exec.peer.send_result(exec.id);
  REQUIRE(eventually([&] { return exec.channel->open_streams() == 0; }));
  REQUIRE(exec.stream->next(0, exec.piece) == Stream::Next::piece);
  CHECK(exec.piece.data == "oooooooooo");
  REQUIRE(exec.stream->next(0, exec.piece) == Stream::Next::piece);
  CHECK(exec.piece.kind == DataKind::err);
  REQUIRE(exec.stream->next(0, exec.piece) == Stream::Next::piece);
  CHECK(exec.piece.data == "p");
  CHECK(exec.stream->next(0, exec.piece) == Stream::Next::end);
}

TEST_CASE("a megabyte that comes byte by byte, alternating, is held in few pieces") {
  Exec exec;
  std::string frames;
  std::string out, err;
  for (int i = 0; i < 20'000; ++i) {
    const char byte = static_cast<char>('a' + i % 26);
    encode_frame(frames, FrameType::data, exec.id, {&byte, 1}, i % 2 ? DataKind::err : DataKind::out);
    (i % 2 ? err : out) += byte;
  }
  exec.peer.send_raw(frames);
  exec.peer.send_result(exec.id);
  REQUIRE(eventually([&] { return exec.channel->open_streams() == 0; }));
  size_t pieces = 0;
  std::string got_out, got_err;
  while (exec.stream->next(0, exec.piece) == Stream::Next::piece) {
    ++pieces;
    (exec.piece.kind == DataKind::err ? got_err : got_out) += exec.piece.data;
  }
  CHECK(pieces <= 256);
  CHECK(got_out == out);
  CHECK(got_err == err);
}

TEST_CASE("started, signals, finish") {
  Exec exec;
  CHECK(exec.stream->pid() == 0);
  exec.peer.send_number(FrameType::started, exec.id, 42);
  CHECK(eventually([&] { return exec.stream->pid() == 42; }));
  exec.stream->send_signal(15, false);
  OwnedFrame signal = exec.peer.expect(FrameType::signal);
  CHECK(signal.stream == exec.id);
  CHECK(signal.payload == std::string("\x0f\0\0\0\0\0\0\0", 8));
  exec.stream->send_signal(64, true);
  CHECK(exec.peer.expect(FrameType::signal).payload == std::string("\x40\0\0\0\1\0\0\0", 8));
  CHECK(code_of([&] { exec.stream->send_signal(0, false); }) == Code::invalid);
  CHECK(code_of([&] { exec.stream->send_signal(65, false); }) == Code::invalid);
  exec.stream->finish();
  exec.stream->finish();
  exec.peer.expect(FrameType::end);
  CHECK(code_of([&] { exec.stream->write("x", 1, 0); }) == Code::closed);
  exec.stream->send_signal(1, false);
  exec.peer.expect(FrameType::signal);  // and no second END before it
  exec.peer.send_result(exec.id);
  CHECK(exec.stream->next(kLong, exec.piece) == Stream::Next::end);
  CHECK(code_of([&] { exec.stream->send_signal(15, false); }) == Code::closed);
  CHECK(code_of([&] { exec.stream->write("x", 1, 0); }) == Code::closed);
  exec.stream->finish();
}

TEST_CASE("cancel is said once; the result still comes") {
  Exec exec;
  exec.stream->cancel();
  exec.stream->cancel();
  CHECK(exec.peer.expect(FrameType::cancel).stream == exec.id);
  exec.peer.send(FrameType::data, exec.id, "late", DataKind::out);
  std::string payload;
  encode(payload, protocol::Result{Code::cancelled, 0, "cancelled", {}});
  exec.peer.send(FrameType::result, exec.id, payload);
  REQUIRE(exec.stream->next(kLong, exec.piece) == Stream::Next::piece);
  REQUIRE(exec.stream->next(kLong, exec.piece) == Stream::Next::end);
  CHECK(exec.stream->result()->code == Code::cancelled);
  exec.stream->cancel();
  exec.stream.reset();
  auto next = exec.channel->request(protocol::Op::stat, stat_payload());
  exec.peer.expect(FrameType::request);  // and no CANCEL before it
}

TEST_CASE("dropping a running stream cancels it; what it still sends is dropped") {
  Exec exec;
  exec.peer.send(FrameType::data, exec.id, "unread", DataKind::out);
  exec.stream.reset();
  CHECK(exec.peer.expect(FrameType::cancel).stream == exec.id);
  CHECK(exec.channel->open_streams() == 1);  // until the agent has answered
  for (int i = 0; i < 3; ++i) exec.peer.send(FrameType::data, exec.id, std::string(protocol::kMaxData, 'x'), DataKind::out);
  exec.peer.send(FrameType::end, exec.id);
  exec.peer.send_number(FrameType::started, exec.id, 3);
  exec.peer.send_result(exec.id);
  CHECK(eventually([&] { return exec.channel->open_streams() == 0; }));
  auto stream = exec.channel->request(protocol::Op::stat, stat_payload());
  exec.peer.send_result(exec.peer.expect(FrameType::request).stream);
  CHECK(stream->next(kLong, exec.piece) == Stream::Next::end);
}

TEST_CASE("the hook is called when reading becomes possible, on the reactor's thread, and may use the stream") {
  Exec exec;
  std::atomic<int> calls = 0;
  std::string got;
  exec.stream->set_notify([&] {
    ++calls;
    Piece piece;
    while (exec.stream->next(0, piece) == Stream::Next::piece) got += piece.data;
    CHECK(exec.stream->writable());
  });
  exec.peer.send(FrameType::data, exec.id, "one", DataKind::out);
  REQUIRE(eventually([&] { return calls == 1; }));
  exec.peer.send(FrameType::data, exec.id, "two", DataKind::out);
  REQUIRE(eventually([&] { return calls == 2; }));
  exec.peer.send_result(exec.id);
  REQUIRE(eventually([&] { return calls == 3; }));
  exec.stream->set_notify({});
  CHECK(got == "onetwo");
  CHECK(exec.stream->readable());
  CHECK(exec.stream->next(0, exec.piece) == Stream::Next::end);
}

TEST_CASE("the hook is called when writing becomes possible") {
  Exec exec;
  const std::string window(protocol::kWindow, 'w');
  std::thread drain([&] {
    for (size_t got = 0; got < window.size();) got += exec.peer.expect(FrameType::data).payload.size();
  });
  size_t sent = 0;
  while (sent < window.size()) sent += exec.stream->write(window.data() + sent, window.size() - sent, kLong);
  drain.join();
  CHECK_FALSE(exec.stream->writable());
  std::atomic<int> calls = 0;
  exec.stream->set_notify([&] { ++calls; });
  CHECK(calls == 0);
  exec.peer.send_number(FrameType::window, exec.id, 1);
  REQUIRE(eventually([&] { return calls == 1; }));
  CHECK(exec.stream->writable());
}

TEST_CASE("a removed hook is not running and does not come back") {
  Exec exec;
  std::atomic<bool> inside = false, left = false;
  exec.stream->set_notify([&] {
    inside = true;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    left = true;
  });
  exec.peer.send(FrameType::data, exec.id, "x", DataKind::out);
  REQUIRE(eventually([&] { return inside.load(); }));
  exec.stream->set_notify({});
  CHECK(left);
  left = false;
  exec.peer.send_result(exec.id);
  REQUIRE(eventually([&] { return exec.channel->open_streams() == 0; }));
  CHECK_FALSE(left);
}

TEST_CASE("a hook may remove itself, and drop the last reference to its stream") {
  Exec exec;
  std::atomic<int> calls = 0;
  exec.stream->set_notify([&] {
    exec.stream->set_notify({});
    ++calls;
  });
  exec.peer.send(FrameType::data, exec.id, "x", DataKind::out);
  REQUIRE(eventually([&] { return calls == 1; }));
  exec.stream->set_notify([&] {
    exec.stream.reset();
    ++calls;
  });
  exec.peer.send_result(exec.id);
  REQUIRE(eventually([&] { return calls == 2; }));
  CHECK(eventually([&] { return exec.channel->open_streams() == 0; }));
}

TEST_CASE("a dialled connection's two ways end by themselves") {
  Wire wire;
  std::string payload;
  encode(payload, protocol::DialRequest{.port = 80});
  auto stream = wire.channel->request(protocol::Op::dial, payload);
  const uint32_t id = wire.peer.expect(FrameType::request).stream;
  Piece piece;
  CHECK(stream->next(0, piece) == Stream::Next::again);
  std::atomic<bool> notified = false;
  stream->set_notify([&] { notified = true; });
  wire.peer.send(FrameType::end, id);
  CHECK(stream->next(kLong, piece) == Stream::Next::half);
  CHECK(eventually([&] { return notified.load(); }));  // the hook is called after who waits has been woken
  CHECK(stream->readable());
  CHECK(stream->result() == nullptr);
  CHECK(stream->next(0, piece) == Stream::Next::half);
  CHECK(stream->write("more", 4, 0) == 4);  // our own way goes on
  CHECK(wire.peer.expect(FrameType::data).payload == "more");
  stream->finish();
  wire.peer.expect(FrameType::end);
  wire.peer.send_result(id);
  CHECK(eventually([&] { return stream->next(0, piece) == Stream::Next::end; }));
  REQUIRE(stream->result());
  CHECK(stream->result()->code == Code::ok);
}

TEST_CASE("what was sent before the end of one way is read before it") {
  Wire wire;
  std::string payload;
  encode(payload, protocol::DialRequest{.port = 80});
  auto stream = wire.channel->request(protocol::Op::dial, payload);
  const uint32_t id = wire.peer.expect(FrameType::request).stream;
  wire.peer.send(FrameType::data, id, "last words");
  wire.peer.send(FrameType::end, id);
  Piece piece;
  REQUIRE(stream->next(kLong, piece) == Stream::Next::piece);
  CHECK(piece.data == "last words");
  CHECK(stream->next(kLong, piece) == Stream::Next::half);
}
