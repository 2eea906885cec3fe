// What the command line's parts make of text, without a sandbox.
#include "text.hpp"
#include "units.hpp"

#include <doctest/doctest.h>

#include <stdexcept>
#include <string>

#include "output.hpp"
#include "pairs.hpp"

using namespace std::string_literals;
using namespace cli;

TEST_CASE("sizes") {
  CHECK(parse_size("1") == 1);
  CHECK(parse_size("512k") == 512ull << 10);
  CHECK(parse_size("256m") == 256ull << 20);
  CHECK(parse_size("1G") == 1ull << 30);
  CHECK(parse_size("2t") == 2ull << 40);
  CHECK(parse_size("4611686018427387904") == 1ull << 62);
  for (const char* bad : {"", "0", "0m", "-1", "m", "1.5g", "1x", "1mb", " 1", "1 ", "4611686018427387905", "4194305t", "18446744073709551616"})
    CHECK_THROWS_AS(parse_size(bad), std::invalid_argument);
}

TEST_CASE("durations") {
  CHECK(parse_duration_ms("1ms") == 1);
  CHECK(parse_duration_ms("30s") == 30'000);
  CHECK(parse_duration_ms("1m30s") == 90'000);
  CHECK(parse_duration_ms("24h") == 86'400'000);
  CHECK(parse_duration_ms("86400000ms") == 86'400'000);
  for (const char* bad : {"", "0s", "30", "-1s", "s", "1d", "1.5s", "24h1ms", "86400001ms", "1s ", "99999999999999999999h"})
    CHECK_THROWS_AS(parse_duration_ms(bad), std::invalid_argument);
}

TEST_CASE("processors") {
  CHECK(parse_milli_cpus("0.5") == 500);
  CHECK(parse_milli_cpus("2") == 2000);
  CHECK(parse_milli_cpus("0.001") == 1);
  CHECK(parse_milli_cpus("1.25") == 1250);
  CHECK(parse_milli_cpus("1024") == 1'024'000);
  for (const char* bad : {"", "0", "0.0", "-1", ".5", "1.", "0.0001", "1024.001", "1025", "1e3", "x", "1.2.3"})
    CHECK_THROWS_AS(parse_milli_cpus(bad), std::invalid_argument);
}

TEST_CASE("numbers of things") {
  CHECK(parse_count("1") == 1);
  CHECK(parse_count("4294967295") == 4294967295u);
  for (const char* bad : {"", "0", "-1", "+1", "4294967296", "18446744073709551616", "1.0", "1k", " 1", "1 "})
    CHECK_THROWS_AS(parse_count(bad), std::invalid_argument);
}

TEST_CASE("durations are written as Go writes them") {
  CHECK(format_duration(0) == "0s");
  CHECK(format_duration(1) == "1µs");
  CHECK(format_duration(999) == "999µs");
  CHECK(format_duration(1000) == "1ms");
  CHECK(format_duration(1500) == "1.5ms");
  CHECK(format_duration(127'003) == "127.003ms");
  CHECK(format_duration(999'999) == "999.999ms");
  CHECK(format_duration(1'000'000) == "1s");
  CHECK(format_duration(2'050'000) == "2.05s");
  CHECK(format_duration(59'999'999) == "59.999999s");
  CHECK(format_duration(60'000'000) == "1m0s");
  CHECK(format_duration(102'000'000) == "1m42s");
  CHECK(format_duration(3'599'000'000) == "59m59s");
  CHECK(format_duration(3'600'000'000) == "1h0m0s");
  CHECK(format_duration(86'400'000'000) == "24h0m0s");
}

TEST_CASE("mounts") {
  using Mount = std::pair<std::string, std::string>;
  CHECK(parse_mount("/a:/b", "/cwd") == Mount("/a", "/b"));
  CHECK(parse_mount("/with:colon/x:/b c", "/cwd") == Mount("/with:colon/x", "/b c"));
  CHECK(parse_mount("/a:/b:/c", "/cwd") == Mount("/a:/b", "/c"));
  CHECK(parse_mount("src:/b", "/cwd") == Mount("/cwd/src", "/b"));
  CHECK(parse_mount(".:/b", "/cwd") == Mount("/cwd/.", "/b"));
  for (const char* bad : {"", ":", ":/b", "/a", "/a:", "/a:b", "a:b"}) CHECK_THROWS_AS(parse_mount(bad, "/cwd"), std::invalid_argument);
}

TEST_CASE("environment") {
  using Variables = std::map<std::string, std::string>;
  CHECK(parse_pairs("env", {}) == Variables{});
  CHECK(parse_pairs("env", {"A=1", "B=", "C=x=y", "A=2"}) == Variables{{"A", "2"}, {"B", ""}, {"C", "x=y"}});
  for (const char* bad : {"", "A", "=", "=x"}) CHECK_THROWS_AS(parse_pairs("env", {bad}), std::invalid_argument);
}

TEST_CASE("base64 (RFC 4648, section 10)") {
  CHECK(text::base64("") == "");
  CHECK(text::base64("f") == "Zg==");
  CHECK(text::base64("fo") == "Zm8=");
  CHECK(text::base64("foo") == "Zm9v");
  CHECK(text::base64("foob") == "Zm9vYg==");
  CHECK(text::base64("\xff\xfe\xfb"s) == "//77");
  CHECK(text::base64("\0\0"s) == "AAA=");
}

TEST_CASE("UTF-8 (RFC 3629)") {
  for (const auto& good : {""s, "a\0b"s, "\x7f"s, "\xc2\x80"s, "\xdf\xbf"s, "\xe0\xa0\x80"s, "\xed\x9f\xbf"s, "\xef\xbf\xbf"s, "\xf0\x90\x80\x80"s,
                           "\xf4\x8f\xbf\xbf"s})
    CHECK(text::is_utf8(good));
  for (const auto& bad : {"\x80"s, "\xc1\xbf"s, "\xc2"s, "a\xe2\x82"s, "\xe0\x9f\xbf"s, "\xed\xa0\x80"s, "\xf0\x8f\xbf\xbf"s, "\xf4\x90\x80\x80"s, "\xf5\x80\x80\x80"s,
                          "\xff"s, "\xc2\0"s})
    CHECK_FALSE(text::is_utf8(bad));
}

TEST_CASE("JSON members of bytes") {
  CHECK(text::json_bytes_member("stdout", "a\n\"\\\x01\xc3\xa9") == "\"stdout\":\"a\\n\\\"\\\\\\u0001\xc3\xa9\"");
  CHECK(text::json_bytes_member("stdout", "a\0b"s) == "\"stdout\":\"a\\u0000b\"");
  CHECK(text::json_bytes_member("stdout", "\xff") == "\"stdout_b64\":\"/w==\"");
  CHECK(text::json_string("a\xff"s) == "\"a\xef\xbf\xbd\"");
}
