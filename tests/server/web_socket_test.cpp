// A server's side of a conversation, over a pair of sockets: clients that are silent, that go, and that end it at the same time as we do.
#include "http/web_socket.hpp"

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

using namespace std::chrono_literals;
using namespace std::string_literals;
using Kind = http::Socket::Kind;

namespace {

const std::string kPing = "\x89\x00"s, kMask(4, '\0');  // a mask of zeros changes nothing

struct Pair {
  Pair() : Pair(sockets()) {}
  ~Pair() {
    ::close(theirs);
    ::close(ours);
  }
  void say(const std::string& bytes) const { REQUIRE(::send(theirs, bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size())); }
  /// All that has been said to the client.
  std::string heard() const {
    std::string bytes(4096, '\0');
    const ssize_t n = ::recv(theirs, bytes.data(), bytes.size(), MSG_DONTWAIT);
    bytes.resize(n > 0 ? static_cast<size_t>(n) : 0);
    return bytes;
  }
  int ours, theirs;
  http::Connection connection;
  http::WebSocket socket;

 private:
  struct Sockets {
    int fds[2];
  };
  static Sockets sockets() {
    Sockets made;
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, made.fds) == 0);
    return made;
  }
  explicit Pair(Sockets made) : ours(made.fds[0]), theirs(made.fds[1]), connection(ours, nullptr, {}), socket(connection, -1, 5ms) {}
};

}  // namespace

TEST_CASE("a client that says nothing is asked ten times whether it is there, each half a minute") {
  CHECK(http::WebSocket::kPing == 30s);
  Pair pair;
  std::string message, pings;
  CHECK(pair.socket.read(message) == Kind::closed);
  for (int i = 0; i < http::WebSocket::kPings; ++i) pings += kPing;
  CHECK(pair.heard() == pings);
}

TEST_CASE("whatever a client says begins its silence anew, and what it is asked is answered") {
  Pair pair;
  std::string message;
  pair.say("\x8a\x80" + kMask + "\x89\x81" + kMask + "p\x81\x82" + kMask + "hi");
  CHECK(pair.socket.read(message) == Kind::text);
  CHECK(message == "hi");
  CHECK(pair.heard() == "\x8a\x01p");
}

TEST_CASE("a close is said once, and nothing after it") {
  Pair pair;
  std::string message;
  pair.say("\x88\x82"s + kMask + "\x03\xe8");
  pair.socket.close(1001, "going");  // reads the client's, which came at the same time
  CHECK(pair.socket.read(message) == Kind::closed);
  pair.socket.close(1000, "");
  CHECK_FALSE(pair.socket.send_text("x"));
  CHECK(pair.heard() == "\x88\x07\x03\xe9going");
}
