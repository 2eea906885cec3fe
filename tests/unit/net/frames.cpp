#include <doctest/doctest.h>

#include "core/error.hpp"
#include "net/web_socket_frames.hpp"

using namespace svm;
using net::Opcode;

namespace {

std::string frame(Opcode opcode, const std::string& payload, bool final = true) {
  std::string out;
  net::append_frame(out, opcode, payload, 0);
  // A server's: without the mask.
  const size_t head = payload.size() < 126 ? 2 : payload.size() < 65536 ? 4 : 10;
  out.erase(head, 4);
  out[1] = static_cast<char>(out[1] & 0x7f);
  if (!final) out[0] = static_cast<char>(out[0] & 0x7f);
  return out;
}

Code broken(const std::string& bytes) {
  net::FrameReader reader;
  reader.feed(bytes);
  net::Message message;
  try {
    while (reader.next(message)) continue;
  } catch (const Error& error) {
    return error.code();
  }
  return Code::ok;
}

}  // namespace

TEST_CASE("a client's frame is masked, at every size of its length") {
  for (const size_t size : {size_t{0}, size_t{1}, size_t{125}, size_t{126}, size_t{65535}, size_t{65536}}) {
    const std::string payload(size, 'p');
    std::string out;
    net::append_frame(out, Opcode::text, payload, 0x0a0b0c0d);
    const size_t head = size < 126 ? 2 : size < 65536 ? 4 : 10;
    REQUIRE(out.size() == head + 4 + size);
    CHECK((static_cast<unsigned char>(out[0]) == 0x81 && (out[1] & 0x80) != 0));
    CHECK(out.substr(head, 4) == "\x0a\x0b\x0c\x0d");
    for (size_t i = 0; i < size; ++i) out[head + 4 + i] = static_cast<char>(out[head + 4 + i] ^ out[head + i % 4]);
    CHECK(out.substr(head + 4) == payload);
  }
}

TEST_CASE("messages come whole, in whatever pieces they arrive") {
  const std::string large(70'000, 'x');
  const std::string bytes = frame(Opcode::text, "one") + frame(Opcode::binary, "a", false) + frame(Opcode::ping, "p") + frame(Opcode::continuation, "b", false) + frame(Opcode::continuation, "c") +
                            frame(Opcode::binary, large) + frame(Opcode::close, "\x03\xe8");
  for (const size_t piece : {size_t{1}, size_t{7}, bytes.size()}) {
    net::FrameReader reader;
    std::vector<std::pair<Opcode, std::string>> seen;
    net::Message message;
    for (size_t at = 0; at < bytes.size(); at += piece) {
      reader.feed(std::string_view(bytes).substr(at, piece));
      while (reader.next(message)) seen.emplace_back(message.kind, message.payload);
    }
    const std::vector<std::pair<Opcode, std::string>> expected{{Opcode::text, "one"}, {Opcode::ping, "p"}, {Opcode::binary, "abc"}, {Opcode::binary, large}, {Opcode::close, "\x03\xe8"}};
    CHECK(seen == expected);
  }
}

TEST_CASE("a server that breaks the protocol") {
  using namespace std::string_literals;
  for (const std::string& bytes : {"\x81\x81\0\0\0\0x"s, "\xc1\x01x"s, "\x83\0"s, "\x09\0"s, "\x82\x7e\0\x05hello"s, "\x82\x7f\0\0\0\0\0\0\xff\xff"s, frame(Opcode::continuation, "x"),
                                   frame(Opcode::text, "a", false) + frame(Opcode::text, "b"), frame(Opcode::ping, std::string(126, 'x'))})
    CHECK(broken(bytes) == Code::io);
}

TEST_CASE("the largest message, and one beyond") {
  constexpr size_t kMost = net::FrameReader::kMaxMessage;
  CHECK(broken(frame(Opcode::binary, std::string(kMost, 'x'))) == Code::ok);
  CHECK(broken(frame(Opcode::binary, std::string(kMost + 1, 'x')).substr(0, 100)) == Code::io);
  const std::string half = frame(Opcode::binary, std::string(kMost / 2, 'x'), false);
  CHECK(broken(half + frame(Opcode::continuation, std::string(kMost / 2, 'x'))) == Code::ok);
  CHECK(broken(half + frame(Opcode::continuation, std::string(kMost / 2 + 1, 'x'))) == Code::io);
}
