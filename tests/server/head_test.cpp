// The head of a request: what is let in, what is refused and how, at each limit and one beyond.
#include "http/head.hpp"
#include "http/ranges.hpp"

#include <doctest/doctest.h>

#include <random>
#include <string>

using namespace std::string_literals;
using http::ChunkDecoder, http::Framing, http::Head;

namespace {

/// 0: accepted.
int status_of(const std::string& bytes, Head* out = nullptr) {
  Head head;
  const auto refusal = http::check_head(bytes, head);
  if (out) *out = head;
  return refusal ? refusal->status : 0;
}
int status_of_line(const std::string& line) { return status_of(line + "\r\nHost: a\r\n\r\n"); }
int status_of_fields(const std::string& fields, const std::string& method = "POST", Head* out = nullptr) {
  return status_of(method + " / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n", out);
}

std::string decoded(const std::string& text, bool plus_is_blank = false) {
  std::string out;
  return http::percent_decode(text, plus_is_blank, out) ? out : "refused";
}

struct Unchunked {
  std::string content;
  size_t used = 0;
  bool ended = false, malformed = false;
  bool operator==(const Unchunked&) const = default;
};
/// The same bytes, `piece` at a time.
Unchunked unchunked(std::string_view bytes, size_t piece) {
  Unchunked result;
  ChunkDecoder decoder;
  while (!bytes.empty()) {
    const std::string_view part = bytes.substr(0, piece);
    const size_t used = decoder.feed(part, result.content);
    result.used += used;
    bytes.remove_prefix(part.size());
    if (used < part.size()) break;
  }
  result.ended = decoder.ended();
  result.malformed = decoder.malformed();
  return result;
}

}  // namespace

TEST_CASE("a head ends at its empty line") {
  CHECK(http::find_head_end("") == 0);
  CHECK(http::find_head_end("GET / HTTP/1.1\r\n") == 0);
  CHECK(http::find_head_end("GET / HTTP/1.1\r\n\r") == 0);
  CHECK(http::find_head_end("GET / HTTP/1.1\r\n\r\n") == 18);
  CHECK(http::find_head_end("GET / HTTP/1.1\r\n\r\nrest") == 18);
  CHECK(http::find_head_end("GET / HTTP/1.1\n\n") == 0);
}

TEST_CASE("request lines") {
  for (const char* good : {"GET / HTTP/1.1", "HEAD /a HTTP/1.1", "POST / HTTP/1.1", "PUT / HTTP/1.1", "PATCH / HTTP/1.1", "DELETE / HTTP/1.1", "OPTIONS * HTTP/1.1",
                           "GET / HTTP/1.0", "GET /a?b=c&d=%20 HTTP/1.1", "GET //a/../b HTTP/1.1"})
    CHECK_MESSAGE(status_of_line(good) == 0, std::string(good));
  for (const auto& bad : {""s, "GET"s, "GET /"s, "GET HTTP/1.1"s, " GET / HTTP/1.1"s, "GET  / HTTP/1.1"s, "GET / HTTP/1.1 "s, "GET /  HTTP/1.1"s, "GET / a HTTP/1.1"s,
                          "GET\t/ HTTP/1.1"s, "G(T / HTTP/1.1"s, "GET a HTTP/1.1"s, "GET http://a/ HTTP/1.1"s, "GET /\x01 HTTP/1.1"s, "GET /\0 HTTP/1.1"s, "GET /\xc3\xa9 HTTP/1.1"s,
                          "GET /\x7f HTTP/1.1"s, "GET /\r HTTP/1.1"s, "GET /\n HTTP/1.1"s, "GET / http/1.1"s, "GET / HTTPS/1.1"s, "GET / FTP"s})
    CHECK_MESSAGE(status_of_line(bad) == 400, std::string(bad));
  for (const char* version : {"HTTP/0.9", "HTTP/1.2", "HTTP/1.11", "HTTP/2.0", "HTTP/3", "HTTP/"}) CHECK_MESSAGE(status_of_line("GET / "s + version) == 505, std::string(version));
  for (const char* method : {"get", "TRACE", "CONNECT", "PROPFIND", "X"}) CHECK_MESSAGE(status_of_line(method + " / HTTP/1.1"s) == 405, std::string(method));
}

TEST_CASE("limits of a head, and one beyond") {
  CHECK(status_of_line("GET /" + std::string(http::kMaxTargetBytes - 1, 'a') + " HTTP/1.1") == 0);
  CHECK(status_of_line("GET /" + std::string(http::kMaxTargetBytes, 'a') + " HTTP/1.1") == 414);
  CHECK(status_of_fields("A: " + std::string(http::kMaxFieldBytes - 3, 'a') + "\r\n") == 0);
  CHECK(status_of_fields("A: " + std::string(http::kMaxFieldBytes - 2, 'a') + "\r\n") == 431);
  std::string fields;  // beside Host
  for (size_t i = 1; i < http::kMaxFields; ++i) fields += "A: b\r\n";
  CHECK(status_of_fields(fields) == 0);
  CHECK(status_of_fields(fields + "A: b\r\n") == 431);
}

TEST_CASE("header fields that two readers could take differently are refused") {
  for (const char* good : {"A:\r\n", "A:b\r\n", "A: \t b \t\r\n", "!#$%&'*+-.^_`|~0: x\r\n", "A: \xc3\xa9\xff\r\n", "A: b:c\r\n"}) CHECK_MESSAGE(status_of_fields(good) == 0, std::string(good));
  for (const auto& bad : {"A\r\n"s, ": b\r\n"s, "A : b\r\n"s, "A\t: b\r\n"s, " A: b\r\n"s, "A: b\r\n c\r\n"s, "A: b\r\n\tc\r\n"s, "A(: b\r\n"s, "\xc3\xa9: b\r\n"s, "A: b\nC: d\r\n"s, "A: b\rC: d\r\n"s,
                          "A: \0\r\n"s, "A: \x7f\r\n"s, "A: \x1b\r\n"s, "A\0: b\r\n"s})
    CHECK_MESSAGE(status_of_fields(bad) == 400, std::string(bad));
  CHECK(status_of("GET / HTTP/1.1\r\nHost: a\r\n") == 400);  // no empty line
  CHECK(status_of("GET / HTTP/1.1\r\nHost: a") == 400);
  CHECK(status_of("GET / HTTP/1.1\r\nHost: a\r\n\r\nmore") == 400);
  CHECK(status_of("") == 400);
  CHECK(status_of("\r\n") == 400);
}

TEST_CASE("one host") {
  CHECK(status_of("GET / HTTP/1.1\r\n\r\n") == 400);
  CHECK(status_of("GET / HTTP/1.0\r\n\r\n") == 0);
  CHECK(status_of_fields("Host: a\r\n", "GET") == 400);
  CHECK(status_of_fields("hOST: b\r\n", "GET") == 400);
  CHECK(status_of("GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n") == 400);
}

TEST_CASE("where a body ends is said in one way") {
  Head head;
  CHECK(status_of_fields("", "POST", &head) == 0);
  CHECK(head.framing == Framing::none);
  CHECK(status_of_fields("Content-Length: 0\r\n", "POST", &head) == 0);
  CHECK(head.framing == Framing::length);
  CHECK(head.length == 0);
  CHECK(status_of_fields("content-LENGTH:\t42 \r\n", "POST", &head) == 0);
  CHECK(head.length == 42);
  CHECK(status_of_fields("Content-Length: 999999999999999999\r\n", "PUT", &head) == 0);
  CHECK(head.length == 999'999'999'999'999'999u);
  CHECK(status_of_fields("Transfer-Encoding: Chunked\r\n", "POST", &head) == 0);
  CHECK(head.framing == Framing::chunked);
  for (const char* bad : {"Content-Length:\r\n", "Content-Length: +1\r\n", "Content-Length: -1\r\n", "Content-Length: 1 2\r\n", "Content-Length: 1,1\r\n", "Content-Length: 0x1\r\n",
                          "Content-Length: 1e1\r\n", "Content-Length: 1000000000000000000\r\n", "Content-Length: 18446744073709551617\r\n", "Content-Length: 1\r\nContent-Length: 1\r\n",
                          "Content-Length: 1\r\nContent-Length: 2\r\n", "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
                          "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "Upgrade: h2c\r\n"})
    CHECK_MESSAGE(status_of_fields(bad) == 400, std::string(bad));
  for (const char* coding : {"gzip", "gzip, chunked", "chunked, chunked", "identity", "xchunked", "chunked;a=b", "\"chunked\"", ""})
    CHECK_MESSAGE(status_of_fields("Transfer-Encoding: "s + coding + "\r\n") == 501, std::string(coding));
  CHECK(status_of("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n") == 400);
  for (const char* method : {"GET", "HEAD", "OPTIONS"}) {
    CHECK(status_of_fields("Content-Length: 0\r\n", method) == 0);
    CHECK(status_of_fields("Content-Length: 1\r\n", method) == 400);
    CHECK(status_of_fields("Transfer-Encoding: chunked\r\n", method) == 400);
  }
  for (const char* method : {"PUT", "PATCH", "DELETE"}) CHECK(status_of_fields("Content-Length: 1\r\n", method) == 0);
}

TEST_CASE("chunks") {
  struct Case {
    std::string bytes, content, after;
  };
  const Case good[] = {
      {"0\r\n\r\n", "", ""},
      {"5\r\nhello\r\n0\r\n\r\n", "hello", ""},
      {"5\r\nhello\r\n0\r\n\r\nGET / HTTP/1.1\r\n", "hello", "GET / HTTP/1.1\r\n"},
      {"1\r\na\r\nA\r\n0123456789\r\n000\r\n\r\n", "a0123456789", ""},
      {"00000000000000a\r\n0123456789\r\n0\r\n\r\n", "0123456789", ""},
      {"3;name=value;other=\"x\"\r\na\r\n\r\n0;last\r\n\r\n", "a\r\n", ""},
      {"0\r\nTrailer: x\r\nOther: y\r\n\r\n", "", ""},
      {"4\r\n0\r\n\r\r\n0\r\n\r\n", "0\r\n\r", ""},
  };
  for (const Case& each : good)
    for (size_t piece = 1; piece <= each.bytes.size(); ++piece) {
      const Unchunked got = unchunked(each.bytes, piece);
      CHECK_MESSAGE((got.ended && !got.malformed), each.bytes);
      CHECK(got.content == each.content);
      CHECK(each.bytes.substr(got.used) == each.after);
    }
  for (const auto& bad : {"\r\n"s, ";a\r\n"s, "g\r\n"s, "-1\r\n"s, "+1\r\na\r\n"s, " 1\r\na\r\n"s, "1 \r\na\r\n"s, "0x1\r\na\r\n"s, "1\na\r\n"s, "1\r\ra\r\n"s, "1\r\nab\r\n"s, "1\r\na\n0\r\n\r\n"s, "1\r\na\r\r"s,
                          "0000000000000001\r\na"s, "10000000000000000\r\n"s, "0\r\nA: b\n\r\n"s, "0\r\n\r\r"s, "0\r\nA: \0\r\n\r\n"s, "1;\n\r\na"s, "1;\x7f\r\na"s})
    for (const size_t piece : {size_t{1}, bad.size()}) CHECK_MESSAGE(unchunked(bad, piece).malformed, std::string(bad));
  for (const char* unfinished : {"", "5", "5\r", "5\r\n", "5\r\nhel", "5\r\nhello\r\n", "0\r\n", "0\r\n\r", "0\r\nA: b\r\n"}) {
    const Unchunked got = unchunked(unfinished, 1);
    CHECK_MESSAGE((!got.ended && !got.malformed), std::string(unfinished));
  }
}

TEST_CASE("lines between chunks have limits") {
  constexpr size_t kMost = 4'096;
  CHECK(unchunked("0;" + std::string(kMost, 'a') + "\r\n\r\n", 1'000).ended);
  CHECK(unchunked("0;" + std::string(kMost + 1, 'a') + "\r\n\r\n", 1'000).malformed);
  CHECK(unchunked("0\r\n" + std::string(kMost, 'a') + "\r\n\r\n", 1'000).ended);
  CHECK(unchunked("0\r\n" + std::string(kMost + 1, 'a') + "\r\n\r\n", 1'000).malformed);
  std::string trailers;  // together, not each
  for (size_t i = 0; i < kMost / 8; ++i) trailers += std::string(8, 'a') + "\r\n";
  CHECK(unchunked("0\r\n" + trailers + "\r\n", 1'000).ended);
  CHECK(unchunked("0\r\n" + trailers + "a\r\n\r\n", 1'000).malformed);
}

TEST_CASE("fields are as they came") {
  const std::string head = "GET / HTTP/1.1\r\nHost: a\r\nA:\t %41=%zz \t\r\nEmpty:\r\n\r\n";
  CHECK(status_of(head) == 0);
  const auto fields = http::fields_of(head);
  REQUIRE(fields.size() == 3);
  CHECK(fields[0].name == "Host");
  CHECK(fields[1].value == "%41=%zz");
  CHECK(fields[2].value == "");
  CHECK(http::fields_of("GET / HTTP/1.0\r\n\r\n").empty());
}

TEST_CASE("a client that waits to be asked for its body") {
  Head head;
  CHECK(status_of_fields("Expect: 100-Continue\r\n", "POST", &head) == 0);
  CHECK(head.expects_continue);
  CHECK(status_of_fields("Expect: other\r\n", "POST", &head) == 0);
  CHECK_FALSE(head.expects_continue);
}

TEST_CASE("ranges (RFC 9110, section 14.1.2)") {
  using Ranges = std::vector<http::Range>;
  const auto of = [](const std::string& field, uint64_t size = 10) { return http::parse_ranges(field, size); };
  CHECK(of("bytes=0-0") == Ranges{{0, 0}});
  CHECK(of("BYTES=2-") == Ranges{{2, 9}});
  CHECK(of("bytes=2-99") == Ranges{{2, 9}});
  CHECK(of("bytes=-3") == Ranges{{7, 9}});
  CHECK(of("bytes=-11") == Ranges{{0, 9}});
  CHECK(of("bytes= 0-1 ,,\t5-6,") == Ranges{{0, 1}, {5, 6}});
  CHECK(of("bytes=0-99999999999999999999,-99999999999999999999") == Ranges{{0, 9}, {0, 9}});
  // One that there is not among those that there are.
  CHECK(of("bytes=10-,1-1,-0") == Ranges{{1, 1}});
  for (const char* none : {"bytes=10-", "bytes=10-11", "bytes=-0", "bytes=18446744073709551615-", "bytes=18446744073709551616-18446744073709551617"}) CHECK_MESSAGE(of(none) == Ranges{}, none);
  CHECK(of("bytes=0-,-1", 0) == Ranges{});
  for (const char* malformed : {"", "bytes", "bytes=", "bytes=,", "lines=0-1", "bytes =0-1", "bytes=-", "bytes=a-1", "bytes=1-a", "bytes=2-1", "bytes=0 -1", "bytes=+0-1", "bytes=0-1;2-3", "bytes=0-1-2",
                                "bytes=0", "bytes=0-1,x"})
    CHECK_MESSAGE(of(malformed) == std::nullopt, malformed);
}

TEST_CASE("percent-decoding (RFC 3986, section 2.1)") {
  CHECK(decoded("") == "");
  CHECK(decoded("abc") == "abc");
  CHECK(decoded("a%20b%2Fc%2fd%25") == "a b/c/d%");
  CHECK(decoded("%C3%A9%ff") == "\xc3\xa9\xff");
  CHECK(decoded("a+b") == "a+b");
  CHECK(decoded("a+b%2B", true) == "a b+");
  CHECK(decoded("%2500") == "%00");
  for (const char* bad : {"%", "%a", "a%2", "%g0", "%0g", "%%20", "% 20", "%00", "a%00b", "%-1"}) CHECK_MESSAGE(decoded(bad) == "refused", std::string(bad));
}
