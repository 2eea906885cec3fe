// One connection, over a pair of sockets and with deadlines of milliseconds: what a slow, a silent and a greedy client get.
#include "http/connection.hpp"

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <thread>

using namespace std::chrono_literals;
using namespace std::string_literals;
using http::Connection, http::Deadlines;
using Clock = std::chrono::steady_clock;

namespace {

constexpr auto kShort = 60ms;
constexpr auto kLong = 20s;  // is not to pass

/// Both ends: ours, and a client's.
struct Pair {
  explicit Pair(const Deadlines& deadlines = {kLong, kLong, kLong, kLong}) : Pair(sockets(), deadlines) {}
  ~Pair() {
    leave();
    ::close(ours);
  }
  void say(std::string_view bytes) const {
    while (!bytes.empty()) {
      const ssize_t n = ::send(theirs, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      REQUIRE(n > 0);
      bytes.remove_prefix(static_cast<size_t>(n));
    }
  }
  void leave() {
    if (theirs >= 0) ::close(theirs);
    theirs = -1;
  }

  int ours, theirs;
  Connection connection;

 private:
  struct Sockets {
    int fds[2];
  };
  static Sockets sockets() {
    Sockets made;
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, made.fds) == 0);
    return made;
  }
  Pair(Sockets made, const Deadlines& deadlines) : ours(made.fds[0]), theirs(made.fds[1]), connection(ours, nullptr, deadlines) {}
};

const std::string kHead = "POST / HTTP/1.1\r\nHost: a\r\n\r\n";

/// The request that is said next, to its body.
void begin(Pair& pair, const std::string& head) {
  REQUIRE(pair.connection.wait_request() == Connection::Wait::ready);
  REQUIRE(pair.connection.read_head() == Connection::HeadResult::complete);
  http::Head parsed;
  REQUIRE_FALSE(http::check_head(pair.connection.head(), parsed).has_value());
  CHECK(pair.connection.head() == head);
  pair.connection.skip_head();
  pair.connection.begin_body(parsed);
}
std::string with(const std::string& field) { return "POST / HTTP/1.1\r\nHost: a\r\n" + field + "\r\n\r\n"; }

}  // namespace

TEST_CASE("the deadlines are those that the documents name") {
  const Deadlines deadlines;
  CHECK(deadlines.head == 10s);
  CHECK(deadlines.idle == 65s);  // longer than clients keep theirs, 60 s
  CHECK(deadlines.read == 30s);
  CHECK(deadlines.write == 30s);
}

TEST_CASE("waiting for a request ends with its first byte, the client, the time or whoever wants no more") {
  Pair pair({kLong, kShort, kLong, kLong});
  const auto start = Clock::now();
  CHECK(pair.connection.wait_request() == Connection::Wait::late);
  CHECK(Clock::now() - start >= kShort);
  pair.say("G");
  CHECK(pair.connection.wait_request() == Connection::Wait::ready);
  Pair gone;
  gone.leave();
  CHECK(gone.connection.wait_request() == Connection::Wait::closed);
  Pair idle;
  std::thread stopper([&] {
    std::this_thread::sleep_for(20ms);
    REQUIRE(::shutdown(idle.connection.fd(), SHUT_RD) == 0);
  });
  CHECK(idle.connection.wait_request() == Connection::Wait::closed);
  stopper.join();
}

TEST_CASE("a head that trickles is cut off after its time, however steadily it comes") {
  Pair pair({150ms, kLong, kLong, kLong});
  std::thread client([&] {
    for (int i = 0; i < 100; ++i) {
      if (::send(pair.theirs, "a", 1, MSG_NOSIGNAL) != 1) return;
      std::this_thread::sleep_for(10ms);
    }
  });
  const auto start = Clock::now();
  CHECK(pair.connection.read_head() == Connection::HeadResult::late);
  const auto took = Clock::now() - start;
  CHECK(took >= 150ms);
  CHECK(took < 900ms);
  client.join();
}

TEST_CASE("a head in pieces is one; empty lines before it are read over") {
  Pair pair;
  std::thread client([&] {
    for (const char c : "\r\n\r\n" + kHead) {
      pair.say({&c, 1});
      std::this_thread::sleep_for(1ms);
    }
  });
  CHECK(pair.connection.read_head() == Connection::HeadResult::complete);
  CHECK(pair.connection.head() == kHead);
  client.join();
}

TEST_CASE("a head has 64 KiB") {
  const std::string start = "GET / HTTP/1.1\r\n";
  for (const size_t beyond : {size_t{0}, size_t{1}}) {
    Pair pair;
    const std::string head = start + std::string(http::kMaxHeadBytes - start.size() - 4 + beyond, 'a') + "\r\n\r\n";
    std::thread client([&] { (void)::send(pair.theirs, head.data(), head.size(), MSG_NOSIGNAL); });
    CHECK(pair.connection.read_head() == (beyond ? Connection::HeadResult::too_large : Connection::HeadResult::complete));
    pair.connection.abort();
    client.join();
  }
}

TEST_CASE("a client that goes within a head") {
  Pair pair;
  pair.say("GET / HT");
  pair.leave();
  CHECK(pair.connection.read_head() == Connection::HeadResult::closed);
}

TEST_CASE("bodies end where the head said, and what follows is the next request") {
  for (const auto& [head, bytes] : {std::pair(with("Content-Length: 5"), "hello"s), {with("Transfer-Encoding: chunked"), "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"s}}) {
    Pair pair;
    pair.say(head + bytes + kHead);
    begin(pair, head);
    std::string body;
    while (!pair.connection.body_ended()) REQUIRE(pair.connection.read_body(body) == Connection::Body::more);
    CHECK(body == "hello");
    CHECK(pair.connection.read_body(body) == Connection::Body::end);
    begin(pair, kHead);
    CHECK(pair.connection.body_ended());
  }
}

TEST_CASE("a body that stops coming") {
  for (const char* framing : {"Content-Length: 5", "Transfer-Encoding: chunked"}) {
    Pair pair({kLong, kLong, kShort, kLong});
    pair.say(with(framing) + "3\r\n");
    begin(pair, with(framing));
    std::string body;
    CHECK(pair.connection.read_body(body) == Connection::Body::more);
    CHECK(pair.connection.read_body(body) == Connection::Body::late);
    pair.leave();
    CHECK(pair.connection.read_body(body) == Connection::Body::closed);
    CHECK_FALSE(pair.connection.body_ended());
  }
}

TEST_CASE("a chunk that is none ends the body") {
  Pair pair;
  pair.say(with("Transfer-Encoding: chunked") + "zz\r\n");
  begin(pair, with("Transfer-Encoding: chunked"));
  std::string body;
  CHECK(pair.connection.read_body(body) == Connection::Body::malformed);
}

TEST_CASE("a client that sends on reads the last answer, and is not waited for long") {
  const std::string head = with("Content-Length: " + std::to_string(16u << 20));
  Pair pair;
  std::thread client([&] {
    const std::string all = head + std::string(16u << 20, 'x');
    CHECK(::send(pair.theirs, all.data(), all.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(all.size()));
    char answer[8];
    CHECK(::recv(pair.theirs, answer, sizeof answer, MSG_WAITALL) == 3);
    pair.leave();
  });
  begin(pair, head);
  CHECK(pair.connection.write("413", 3) == 3);
  const auto start = Clock::now();
  pair.connection.linger();
  CHECK(Clock::now() - start < 2s);
  client.join();
  Pair silent;
  const auto since = Clock::now();
  silent.connection.linger();
  CHECK(Clock::now() - since >= 2s);
  CHECK(Clock::now() - since < 5s);
}

TEST_CASE("a client that takes nothing is given up; one that takes slowly gets all") {
  const std::string much(8u << 20, 'x');
  Pair stuck({kLong, kLong, kLong, kShort});
  CHECK(stuck.connection.write(much.data(), much.size()) == -1);
  Pair slow({kLong, kLong, kLong, 2s});
  size_t got = 0;
  std::thread client([&] {
    std::string buffer(64u << 10, '\0');
    for (ssize_t n; got < much.size() && (n = ::recv(slow.theirs, buffer.data(), buffer.size(), 0)) > 0; got += static_cast<size_t>(n)) std::this_thread::sleep_for(1ms);
  });
  CHECK(slow.connection.write(much.data(), much.size()) == static_cast<ssize_t>(much.size()));
  client.join();
  CHECK(got == much.size());
}

TEST_CASE("nobody is signalled for a client who has gone") {
  Pair pair;
  pair.leave();
  CHECK(pair.connection.write("x", 1) == -1);
}

TEST_CASE("abort ends what another thread waits for") {
  Pair pair;
  std::thread waker([&] {
    std::this_thread::sleep_for(20ms);
    pair.connection.abort();
  });
  CHECK(pair.connection.read_head() == Connection::HeadResult::closed);
  waker.join();
}
