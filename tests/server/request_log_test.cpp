// How each request went, a line each.
#include "serve/request_log.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <stacyvm/stacyvm.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <thread>
#include <vector>

namespace {

struct Pipe {
  Pipe() { REQUIRE(::pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0); }
  ~Pipe() {
    ::close(ends[0]);
    ::close(ends[1]);
  }
  std::string read() const {
    char bytes[8'192];
    const ssize_t n = ::read(ends[0], bytes, sizeof bytes);
    return n > 0 ? std::string(bytes, static_cast<size_t>(n)) : std::string();
  }
  int ends[2];
};

http::Outcome outcome(int status, std::string path = "/api/v1/health") { return {"GET", std::move(path), "127.0.0.1", "r-1", status, std::chrono::microseconds(1'234)}; }

/// What a log of this level says of a request with this status, without the time.
std::string said(uint32_t level, int status) {
  const Pipe pipe;
  serve::RequestLog(pipe.ends[1], level).served(outcome(status));
  const std::string line = pipe.read();
  return line.empty() ? line : line.substr(line.find(' ') + 1);
}

}  // namespace

TEST_CASE("the line of a request") {
  CHECK(serve::outcome_line(outcome(200)) == "GET /api/v1/health 200 1.234ms 127.0.0.1 r-1");
  CHECK(serve::outcome_line({"", "", "unix", "r", 431, std::chrono::microseconds(0)}) == "- - 431 0.000ms unix r");
  CHECK(serve::outcome_line(outcome(200, "/a b\n\x7f\xff")) == "GET /a\\x20b\\x0a\\x7f\\xff 200 1.234ms 127.0.0.1 r-1");
  CHECK(serve::outcome_line(outcome(404, std::string(512, 'p'))) == "GET " + std::string(512, 'p') + " 404 1.234ms 127.0.0.1 r-1");
  CHECK(serve::outcome_line(outcome(404, std::string(513, 'p'))) == "GET " + std::string(512, 'p') + "... 404 1.234ms 127.0.0.1 r-1");
}

TEST_CASE("which requests a level has") {
  CHECK(said(STACYVM_LOG_DEBUG, 200) == "debug GET /api/v1/health 200 1.234ms 127.0.0.1 r-1\n");
  CHECK(said(STACYVM_LOG_INFO, 200) == "");
  CHECK(said(STACYVM_LOG_INFO, 404) == "");
  CHECK(said(STACYVM_LOG_WARN, 500) == "warn GET /api/v1/health 500 1.234ms 127.0.0.1 r-1\n");
  CHECK(said(STACYVM_LOG_WARN, 499) == "");
  CHECK(said(STACYVM_LOG_ERROR, 500) == "");
}

TEST_CASE("why one failed is told at every level, in one line") {
  const Pipe pipe;
  serve::RequestLog(pipe.ends[1], STACYVM_LOG_ERROR).failed("r-1", "no\nSHA-256");
  const std::string line = pipe.read();
  CHECK(line.substr(line.find(' ')) == " error request r-1: no?SHA-256\n");
}

TEST_CASE("the longest line is a whole one") {
  const Pipe pipe;
  http::Outcome longest = outcome(200, std::string(8'000, '\x7f'));
  longest.request_id = std::string(128, 'r');
  serve::RequestLog(pipe.ends[1], STACYVM_LOG_DEBUG).served(longest);
  const std::string line = pipe.read();
  CHECK(line.ends_with(" 200 1.234ms 127.0.0.1 " + longest.request_id + "\n"));
}

TEST_CASE("nobody waits for the reader of a log") {
  const Pipe pipe;
  REQUIRE(::fcntl(pipe.ends[1], F_SETFL, 0) == 0);  // it would block
  const serve::RequestLog log(pipe.ends[1], STACYVM_LOG_DEBUG);
  constexpr int kLines = 4'000;  // more than a pipe holds
  std::vector<std::thread> callers;
  for (int i = 0; i < 4; ++i) callers.emplace_back([&] {
    for (int line = 0; line < kLines / 4; ++line) log.served(outcome(200));
  });
  for (std::thread& caller : callers) caller.join();
  std::string all;
  for (std::string some = pipe.read(); !some.empty(); some = pipe.read()) all += some;
  const auto lines = std::count(all.begin(), all.end(), '\n');
  CHECK(lines > 0);
  CHECK(lines < kLines);
  CHECK(all.ends_with(" r-1\n"));
}
