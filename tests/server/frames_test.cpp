// A client's WebSocket frames: what is taken for which message, and what breaks the protocol and how (RFC 6455 section 5).
#include "http/frames.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace std::string_literals;
using http::MessageReader, http::Opcode;
using Came = MessageReader::Came;

namespace {

constexpr int kText = 0x81, kBinary = 0x82, kClose = 0x88, kPing = 0x89, kPong = 0x8a;
constexpr int kTextBegins = 0x01, kBinaryBegins = 0x02, kGoesOn = 0x00, kEnds = 0x80;

/// As a client sends it.
std::string frame(int first, const std::string& payload) {
  constexpr char kMask[] = {0x11, 0x22, 0x33, '\xf4'};
  std::string whole;
  http::append_frame(whole, Opcode::binary, payload);
  whole[0] = static_cast<char>(first);
  whole[1] = static_cast<char>(whole[1] | 0x80);
  whole.resize(whole.size() - payload.size());
  whole.append(kMask, sizeof kMask);
  for (size_t i = 0; i < payload.size(); ++i) whole += static_cast<char>(payload[i] ^ kMask[i % 4]);
  return whole;
}

/// A line for each thing that comes of the bytes, given `piece` at a time.
std::vector<std::string> read(std::string_view bytes, size_t piece = 1 << 20) {
  std::vector<std::string> seen;
  MessageReader reader;
  while (!bytes.empty()) {
    std::string_view part = bytes.substr(0, piece);
    bytes.remove_prefix(part.size());
    while (!part.empty()) {
      switch (reader.take(part)) {
        case Came::nothing_yet: CHECK(part.empty()); break;
        case Came::text: seen.push_back("text " + reader.payload()); break;
        case Came::binary: seen.push_back("binary " + reader.payload()); break;
        case Came::ping: seen.push_back("ping " + reader.payload()); break;
        case Came::pong: seen.push_back("pong"); break;
        case Came::close: seen.push_back("close " + std::to_string(reader.code())); return seen;
        case Came::broken: seen.push_back("broken " + std::to_string(reader.code())); CHECK(*reader.why() != '\0'); return seen;
      }
    }
  }
  return seen;
}
using Seen = std::vector<std::string>;
std::string code(int number) { return {static_cast<char>(number >> 8), static_cast<char>(number)}; }

}  // namespace

TEST_CASE("messages, in pieces of any size") {
  const std::string large(70'000, 'x');
  const std::string all = frame(kText, "\xc3\xa9") + frame(kBinary, "") + frame(kPing, "p") + frame(kTextBegins, "\xc3") + frame(kPing, "") + frame(kGoesOn, "") + frame(kEnds, "\xa9!") + frame(kPong, "q") +
                          frame(kBinary, large) + frame(kBinaryBegins, "a") + frame(kEnds, "") + frame(kClose, code(3000) + "why");
  const Seen expected = {"text \xc3\xa9", "binary ", "ping p", "ping ", "text \xc3\xa9!", "pong", "binary " + large, "binary a", "close 3000"};
  for (const size_t piece : {size_t{1}, size_t{2}, size_t{3}, size_t{7}, size_t{4096}, all.size()}) CHECK(read(all, piece) == expected);
}

TEST_CASE("what breaks the protocol") {
  std::string unmasked;
  http::append_frame(unmasked, Opcode::text, "x");
  const std::string ping = frame(kPing, ""), x = frame(kText, "x");
  for (const std::string& bytes : {unmasked, frame(0xc1, "x"), frame(0xa1, "x"), frame(0x91, "x"), frame(0x83, "x"), frame(0x8b, "x"), frame(0x09, ""), frame(0x08, ""), frame(kPing, std::string(126, 'x')), frame(kEnds, "x"),
                                   frame(kGoesOn, "x"), frame(kTextBegins, "x") + x, x + frame(kEnds, "x"), "\x82\xfe\x00\x7d"s + "mask", "\x82\xff\x00\x00\x00\x00\x00\x00\xff\xff"s + "mask",
                                   "\x82\xff\x80\x00\x00\x00\x00\x00\x00\x00"s + "mask", frame(kClose, "x")})
    CHECK_MESSAGE(read(bytes + ping).back() == "broken 1002", bytes);
  CHECK(read(frame(kPing, std::string(125, 'x'))) == Seen{"ping " + std::string(125, 'x')});
}

TEST_CASE("texts are UTF-8, however they are cut") {
  for (const std::string& bytes : {frame(kText, "\xff"), frame(kText, "\xed\xa0\x80"), frame(kText, "\xc3"), frame(kTextBegins, "\xe2") + frame(kEnds, "\x28\xa1"), frame(kClose, code(1000) + "\xff")})
    CHECK(read(bytes) == Seen{"broken 1007"});
  CHECK(read(frame(kBinary, "\xff")) == Seen{"binary \xff"});
}

TEST_CASE("codes of a close") {
  CHECK(read(frame(kClose, "")) == Seen{"close 1005"});
  for (const int number : {1000, 1003, 1007, 1014, 3000, 4999}) CHECK(read(frame(kClose, code(number))) == Seen{"close " + std::to_string(number)});
  for (const int number : {0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 65535}) CHECK(read(frame(kClose, code(number))) == Seen{"broken 1002"});
}

TEST_CASE("a message has 1 MiB, whole or in parts, and one that is longer is told by its head") {
  const std::string most(http::kMaxMessageBytes, 'x');
  CHECK(read(frame(kBinary, most)) == Seen{"binary " + most});
  CHECK(read(frame(kBinaryBegins, most) + frame(kEnds, "")) == Seen{"binary " + most});
  CHECK(read(frame(kBinary, most + "x").substr(0, 14)) == Seen{"broken 1009"});
  CHECK(read(frame(kBinaryBegins, most) + frame(kEnds, "x")) == Seen{"broken 1009"});
  CHECK(read("\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff"s + "mask") == Seen{"broken 1009"});
}

TEST_CASE("frames and closes of ours") {
  const auto made = [](size_t size) {
    std::string out;
    http::append_frame(out, Opcode::text, std::string(size, 'x'));
    return out.substr(0, out.size() - size);
  };
  CHECK(made(0) == "\x81\x00"s);
  CHECK(made(125) == "\x81\x7d");
  CHECK(made(126) == "\x81\x7e\x00\x7e"s);
  CHECK(made(65'535) == "\x81\x7e\xff\xff");
  CHECK(made(65'536) == "\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00"s);
  CHECK(http::close_payload(1005, "unsaid") == "");
  CHECK(http::close_payload(1001, "gone") == "\x03\xe9gone");
  CHECK(http::close_payload(1000, std::string(122, 'x') + "\xc3\xa9") == code(1000) + std::string(122, 'x'));  // no half character
}
