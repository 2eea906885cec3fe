// http::Server with a handler of the test's own: what no request of a client makes happen.
#include "http/server.hpp"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>

namespace {

/// Throws on request, and keeps what it is told.
class Thrower final : public http::Handler {
 public:
  void serve(http::Exchange& exchange) override {
    exchange.set_request_id("r-1");
    if (exchange.path() == "/exception") throw std::runtime_error("out of luck");
    if (exchange.path() == "/number") throw 1;
    exchange.answer(200, "text/plain", "fine");
  }
  void converse(http::Exchange&, http::Socket&) override {}
  std::string refusal(int status, std::string_view why, std::string& request_id) override {
    if (request_id.empty()) request_id = "made";
    return std::to_string(status) + ' ' + std::string(why) + ' ' + request_id;
  }
  void served(const http::Outcome& outcome) noexcept override {
    const std::lock_guard lock(mutex);
    told += outcome.method + ' ' + outcome.path + ' ' + std::to_string(outcome.status) + ' ' + outcome.client_address + ' ' + outcome.request_id + '\n';
  }
  void failed(const std::string& request_id, std::string_view why) noexcept override {
    const std::lock_guard lock(mutex);
    told += request_id + ": " + std::string(why) + '\n';
  }

  std::mutex mutex;
  std::string told;
};

/// Everything that comes for these bytes, until the server ends the connection.
std::string ask(uint16_t port, const std::string& bytes) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  REQUIRE(::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  REQUIRE(::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size()));
  std::string all;
  char some[4'096];
  for (ssize_t n; (n = ::recv(fd, some, sizeof some, 0)) > 0;) all.append(some, static_cast<size_t>(n));
  ::close(fd);
  return all;
}

std::string get(const char* path) { return std::string("GET ") + path + "?secret HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"; }

}  // namespace

TEST_CASE("what a handler throws is 500 for the client, and its reason for the log") {
  Thrower handler;
  http::Server server({}, handler);
  const int stop = ::eventfd(0, EFD_CLOEXEC);
  std::thread serving([&] { (void)server.run(stop); });
  std::string answers[3];
  const char* paths[] = {"/exception", "/number", "/fine"};
  for (size_t i = 0; i < 3; ++i) answers[i] = ask(server.port(), get(paths[i]));
  const std::string malformed = ask(server.port(), "GET / HTTP/1.1\r\n\r\n");
  const uint64_t one = 1;
  REQUIRE(::write(stop, &one, sizeof one) == sizeof one);
  serving.join();
  ::close(stop);

  for (size_t i = 0; i < 2; ++i) {
    CHECK(answers[i].starts_with("HTTP/1.1 500 "));
    CHECK(answers[i].find("X-Request-ID: r-1\r\n") != std::string::npos);
    CHECK(answers[i].ends_with("\r\n\r\n500 internal error r-1"));
  }
  CHECK(answers[2].ends_with("\r\n\r\nfine"));
  CHECK(malformed.find("X-Request-ID: made\r\n") != std::string::npos);
  CHECK(handler.told ==
        "r-1: out of luck\nGET /exception 500 127.0.0.1 r-1\n"
        "r-1: an exception of an unknown kind\nGET /number 500 127.0.0.1 r-1\n"
        "GET /fine 200 127.0.0.1 r-1\n"
        "  400 127.0.0.1 made\n");
}
