// Attached streams: places and gaps, killing beside letting go, and the size of a terminal.
#include <doctest/doctest.h>

#include <csignal>

#include "peer.hpp"

using namespace svm;
using namespace svm::channel;
using namespace svm::channel::test;

namespace {

template <class Request>
std::string payload_of(const Request& request) {
  std::string payload;
  protocol::encode(payload, request);
  return payload;
}

struct Attached : Wire {
  Attached() : stream(channel->request(protocol::Op::attach, payload_of(protocol::AttachRequest{"x", 0, false}))), id(peer.expect(FrameType::request).stream) {}
  std::shared_ptr<Stream> stream;
  uint32_t id;
  Piece piece;
};

std::string u32s(uint32_t first, uint32_t second) {
  std::string out;
  for (const uint32_t v : {first, second})
    for (int i = 0; i < 4; ++i) out += static_cast<char>(v >> (8 * i) & 0xff);
  return out;
}

}  // namespace

TEST_CASE("a gap stays where it is between the bytes, and is never merged with another") {
  Attached attached;
  const std::string gap("\1\2\3\4\0\0\0\0", 8);
  attached.peer.send_number(FrameType::started, attached.id, 33);
  attached.peer.send(FrameType::data, attached.id, "a", DataKind::out);
  attached.peer.send(FrameType::data, attached.id, gap, DataKind::gap);
  attached.peer.send(FrameType::data, attached.id, gap, DataKind::gap);
  attached.peer.send(FrameType::data, attached.id, "b", DataKind::out);
  attached.peer.send_result(attached.id);
  const std::pair<DataKind, std::string> expected[] = {{DataKind::out, "a"}, {DataKind::gap, gap}, {DataKind::gap, gap}, {DataKind::out, "b"}};
  for (const auto& [kind, data] : expected) {
    REQUIRE(attached.stream->next(5000, attached.piece) == Stream::Next::piece);
    CHECK(attached.piece.kind == kind);
    CHECK(attached.piece.data == data);
  }
  CHECK(attached.stream->next(5000, attached.piece) == Stream::Next::end);
  CHECK(attached.stream->pid() == 33);
}

TEST_CASE("alternating outputs keep their order far behind, so that places are right") {
  Attached attached;
  std::string frames, all;
  for (int i = 0; i < 10'000; ++i) {
    const char byte = static_cast<char>('a' + i % 26);
    encode_frame(frames, FrameType::data, attached.id, {&byte, 1}, i % 2 ? DataKind::err : DataKind::out);
    all += byte;
  }
  attached.peer.send_raw(frames);
  attached.peer.send_result(attached.id);
  REQUIRE(eventually([&] { return attached.channel->open_streams() == 0; }));
  std::string got;
  while (attached.stream->next(0, attached.piece) == Stream::Next::piece) got += attached.piece.data;
  CHECK(got == all);
}

TEST_CASE("a gap of another size, or on a stream that has no places, breaks the protocol") {
  {
    Attached attached;
    attached.peer.send(FrameType::data, attached.id, "1234567", DataKind::gap);
    CHECK(attached.stream->next(5000, attached.piece) == Stream::Next::end);
    CHECK(attached.stream->result()->code == Code::io);
  }
  Wire wire;
  const auto exec = wire.channel->request(protocol::Op::exec, exec_payload());
  wire.peer.send(FrameType::data, wire.peer.expect(FrameType::request).stream, "12345678", DataKind::gap);
  Piece piece;
  CHECK(exec->next(5000, piece) == Stream::Next::end);
  CHECK(exec->result()->code == Code::io);
}

TEST_CASE("cancel lets go, kill ends the command first; a command's own stream knows no difference") {
  {
    Attached attached;
    attached.stream->cancel();
    attached.peer.expect(FrameType::cancel);
  }
  {
    Attached attached;
    attached.stream->kill();
    CHECK(attached.peer.expect(FrameType::signal).payload == u32s(SIGKILL, protocol::kSignalTree));
    attached.peer.expect(FrameType::cancel);
  }
  Wire wire;
  const auto exec = wire.channel->request(protocol::Op::exec, exec_payload());
  wire.peer.expect(FrameType::request);
  exec->kill();
  wire.peer.expect(FrameType::cancel);
}

TEST_CASE("a size goes out as it is, within its bounds, until the end") {
  Attached attached;
  attached.stream->resize(1, protocol::kMaxTerminalSide);
  CHECK(attached.peer.expect(FrameType::resize).payload == u32s(1, protocol::kMaxTerminalSide));
  const std::tuple<uint32_t, uint32_t, std::string> bad[] = {
      {0, 1, "rows"}, {1, 0, "cols"}, {protocol::kMaxTerminalSide + 1, 1, "rows"}, {1, protocol::kMaxTerminalSide + 1, "cols"}};
  for (const auto& [rows, columns, field] : bad) {
    try {
      attached.stream->resize(rows, columns);
      FAIL("accepted");
    } catch (const Error& error) {
      CHECK(error.code() == Code::invalid);
      CHECK(error.message().starts_with(field));
    }
  }
  attached.peer.send_result(attached.id);
  while (attached.stream->next(5000, attached.piece) != Stream::Next::end) {
  }
  try {
    attached.stream->resize(1, 1);
    FAIL("accepted");
  } catch (const Error& error) {
    CHECK(error.code() == Code::closed);
  }
}
