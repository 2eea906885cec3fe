#include <doctest/doctest.h>

#include "core/error.hpp"
#include "model/base64.hpp"
#include "net/sha1.hpp"
#include "net/web_socket_handshake.hpp"

using namespace svm;

namespace {

constexpr const char* kNonce = "dGhlIHNhbXBsZSBub25jZQ==";  // RFC 6455 section 1.3
const std::string kAccepted =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nconnection: keep-alive, Upgrade\r\nSec-WebSocket-Accept:  s3pPLMBiTxaQ9kYGzzhZRbK+xOo= \r\n\r\n";

std::string hex(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) {
    out += "0123456789abcdef"[static_cast<unsigned char>(c) >> 4];
    out += "0123456789abcdef"[static_cast<unsigned char>(c) & 15];
  }
  return out;
}

bool accepted(std::string answer, const std::string& from, const std::string& to) {
  answer.replace(answer.find(from), from.size(), to);
  const auto parsed = net::parse_upgrade_answer(answer, kNonce);
  REQUIRE(parsed.has_value());
  return parsed->accepted;
}

Code broken(const std::string& bytes) {
  try {
    (void)net::parse_upgrade_answer(bytes, kNonce);
  } catch (const Error& error) {
    return error.code();
  }
  return Code::ok;
}

}  // namespace

TEST_CASE("digests of RFC 3174") {
  CHECK(hex(net::sha1("")) == "da39a3ee5e6b4b0d3255bfef95601890afd80709");
  CHECK(hex(net::sha1("abc")) == "a9993e364706816aba3e25717850c26c9cd0d89d");
  CHECK(hex(net::sha1("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")) == "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
  CHECK(hex(net::sha1(std::string(1'000'000, 'a'))) == "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
}

TEST_CASE("a request for an upgrade") {
  CHECK(net::upgrade_request("/a/ws?b=c", "host:1", kNonce, {"X-API-Key: k"}) ==
        "GET /a/ws?b=c HTTP/1.1\r\nHost: host:1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nX-API-Key: k\r\n\r\n");
}

TEST_CASE("an upgrade is taken when all of it is there") {
  const auto answer = net::parse_upgrade_answer(kAccepted + "frames", kNonce);
  REQUIRE(answer.has_value());
  CHECK((answer->accepted && answer->status == 101 && answer->head == kAccepted.size()));
  for (size_t size = 0; size < kAccepted.size(); ++size) CHECK_FALSE(net::parse_upgrade_answer(kAccepted.substr(0, size), kNonce).has_value());
  CHECK_FALSE(accepted(kAccepted, "s3pP", "s3pQ"));
  CHECK_FALSE(accepted(kAccepted, "WebSocket\r", "h2c\r"));
  CHECK_FALSE(accepted(kAccepted, "Upgrade\r\nSec", "close\r\nSec"));
  CHECK_FALSE(accepted(kAccepted, " 101 ", " 200 "));
}

TEST_CASE("a refusal has a status and a length") {
  const auto answer = net::parse_upgrade_answer("HTTP/1.1 401 Unauthorized\r\nContent-Length: 12\r\n\r\n{}", kNonce);
  REQUIRE(answer.has_value());
  CHECK((!answer->accepted && answer->status == 401 && answer->body == 12u));
  CHECK_FALSE(net::parse_upgrade_answer("HTTP/1.1 204\r\n\r\n", kNonce)->body.has_value());
}

TEST_CASE("what is no HTTP, and an answer without an end") {
  for (const char* bytes : {"SSH-2.0\r\n\r\n", "HTTP/1.1 1x1 OK\r\n\r\n", "HTTP/1.1 2000 OK\r\n\r\n", "HTTP/1.1 200 OK\r\n: x\r\n\r\n", "HTTP/1.1 200 OK\r\nx\r\n\r\n",
                            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 9999999999\r\n\r\n"})
    CHECK_MESSAGE(broken(bytes) == Code::io, bytes);
  CHECK(broken(std::string(net::kMaxUpgradeHead - 1, 'x')) == Code::ok);
  CHECK(broken(std::string(net::kMaxUpgradeHead, 'x')) == Code::io);
}
