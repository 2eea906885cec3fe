// What the client verbs make of text, without a sandbox.
#include <doctest/doctest.h>

#include <cstdlib>
#include <stdexcept>
#include <string>

#include "copy_side.hpp"
#include "location.hpp"
#include "printable.hpp"
#include "progress.hpp"
#include "records.hpp"
#include "table.hpp"
#include "tail.hpp"
#include "units.hpp"

using namespace std::string_literals;
using namespace cli;

TEST_CASE("what a terminal would act on is shown, and not passed on") {
  CHECK(printable("plain \"text\" \u00e9 \u20ac \U0001f600") == "plain \"text\" \u00e9 \u20ac \U0001f600");
  CHECK(printable("\x1b[31m\x07\r\n\t\x7f"s + '\0') == "\\x1b[31m\\x07\\x0d\\n\\x09\\x7f\\x00");
  CHECK(printable("\u0080\u009b\u00a0\u00ad") == "\\x80\\x9b\u00a0\\xad");
  CHECK(printable("\u200b\u200f\u2010\u2027\u2028\u202e\u202f\u2060\u2066\u206f\ufeff\U000e0041") ==
        "\\u200b\\u200f\u2010\u2027\\u2028\\u202e\u202f\\u2060\\u2066\\u206f\\ufeff\\U000e0041");
  CHECK(printable("\xff\xc3(\xe2\x82") == "\\xff\\xc3(\\xe2\\x82");
  CHECK(characters("") == 0);
  CHECK(characters("a\u00e9\u20ac\U0001f600") == 4);
}

TEST_CASE("tables") {
  Table table({"ID", "NAME", "STATE"});
  table.row({"1", "", "on"});
  table.row({"22222", "\u20ac\x1b[2J", "off"});
  CHECK(table.text() == "ID     NAME      STATE\n1      -         on\n22222  \u20ac\\x1b[2J  off\n");
}

TEST_CASE("the end of a text") {
  CHECK(last_lines("a\nb\nc\n", 1) == "c\n");
  CHECK(last_lines("a\nb\nc", 1) == "c");
  CHECK(last_lines("a\nb\nc\n", 2) == "b\nc\n");
  CHECK(last_lines("a\nb\nc\n", 3) == "a\nb\nc\n");
  CHECK(last_lines("a\nb\nc\n", 4) == "a\nb\nc\n");
  CHECK(last_lines("\n\n\n", 2) == "\n\n");
  CHECK(last_lines("", 1).empty());
}

TEST_CASE("bytes for people") {
  CHECK(format_bytes(0) == "0 B");
  CHECK(format_bytes(1023) == "1023 B");
  CHECK(format_bytes(1024) == "1.0 KiB");
  CHECK(format_bytes(1536) == "1.5 KiB");
  CHECK(format_bytes((1 << 20) - 1) == "1023.9 KiB");
  CHECK(format_bytes(1 << 20) == "1.0 MiB");
  CHECK(format_bytes(5ull << 40) == "5.0 TiB");
  CHECK(format_bytes(UINT64_MAX) == "15.9 EiB");
}

TEST_CASE("how far a copy is") {
  using namespace std::chrono_literals;
  CHECK(progress_line("file", 512, 1024, 1s, 80) == "file  512 B  50%  512 B/s");
  CHECK(progress_line("file", 2048, 1024, 0s, 80) == "file  2.0 KiB  100%");
  CHECK(progress_line("a\x1bz", 1, 0, 0s, 80) == "a\\x1bz  1 B");
  CHECK(progress_line(std::string(100, '\xc3') , 1, 0, 0s, 40).size() < 50);
  const std::string narrow = progress_line("a-long-name-\u20ac\u20ac\u20ac\u20ac\u20ac\u20ac", 1, 0, 0s, 22);
  CHECK(characters(narrow) == 21);
  CHECK(narrow == "a-long-name-\u20ac\u20ac\u20ac\u2026  1 B");
}

TEST_CASE("answers of the library") {
  const auto records = records_of(R"([{"a":"x\u001b","b":12,"c":null,"d":true,"e":{"f":[1,"y"]}},{}])");
  REQUIRE(records.size() == 2);
  CHECK(records[0] == Record{{"a", "x\x1b"}, {"b", "12"}, {"d", "true"}, {"e", R"({"f":[1,"y"]})"}});
  CHECK(member(records[0], "a") == "x\x1b");
  CHECK(member(records[1], "a").empty());
  CHECK(records_of(R"({"a":9007199254740993})").at(0) == Record{{"a", "9007199254740993"}});
  CHECK(records_of("[]").empty());
  for (const char* bad : {"", "1", "[1]", "{", "[{}", "[{}]x", "\"a\"", "null"}) CHECK_THROWS_AS(records_of(bad), std::runtime_error);
  const auto nested = [](size_t levels) { return "{\"a\":" + std::string(levels - 1, '[') + std::string(levels - 1, ']') + '}'; };
  CHECK(records_of(nested(64)).size() == 1);
  CHECK_THROWS_AS(records_of(nested(65)), std::runtime_error);
  CHECK_THROWS_AS(records_of(std::string(1'000'000, '[')), std::runtime_error);
}

TEST_CASE("sides of a copy") {
  const auto inside = [](const char* text) { return parse_side(text).inside() ? parse_side(text).sandbox + '|' + parse_side(text).path : "here"s; };
  CHECK(inside("box:/a/b") == "box|/a/b");
  CHECK(inside("box:a/b:c") == "box|/workspace/a/b:c");
  CHECK(inside("box:") == "box|/workspace/.");
  CHECK(inside("box:/") == "box|/");
  CHECK(inside("box:/a//") == "box|/a");
  for (const char* here : {"a", "/a:b", "./a:b", "../a:b", "a/b:c", "-", "--"}) CHECK(inside(here) == "here");
  for (const char* bad : {"", ":", ":a"}) CHECK_THROWS_AS(parse_side(bad), std::invalid_argument);
  CHECK(parse_side("-").is_stream);
  CHECK_FALSE(parse_side("./-").is_stream);
  const auto leaf = [](const char* text) { return std::string(parse_side(text).leaf()); };
  CHECK(leaf("a/b") == "b");
  CHECK(leaf("a/b/") == "b");
  CHECK(leaf("box:c") == "c");
  for (const char* contents : {"/", ".", "..", "a/.", "a/..", "a/./", "box:", "box:/", "box:a/."}) {
    CHECK(leaf(contents).empty());
    CHECK(parse_side(contents).is_directory);
  }
  CHECK(parse_side("a/").is_directory);
  CHECK_FALSE(parse_side("a").is_directory);
  CHECK(below("/", "a") == "/a");
  CHECK(below("a", "b") == "a/b");
}

TEST_CASE("locations") {
  for (const char* name : {"STACYVM_URL", "STACYVM_API_KEY", "STACYVM_CA_FILE"}) ::unsetenv(name);
  const auto of = [](ClientOptions options) { return location_of(options); };
  CHECK(of({}).address == "http://127.0.0.1:7423");
  CHECK(of({}).is_server);
  CHECK(of({.server = "/a/../b"}).address == "/b");
  CHECK_FALSE(of({.server = "localhost:7423"}).is_server);
  CHECK_THROWS_AS(of({.server = "/a", .api_key = "k"}), std::invalid_argument);
  CHECK_THROWS_AS(of({.server = "/a", .ca_file = "c"}), std::invalid_argument);
  CHECK(of({.server = "https://h", .api_key = "k", .ca_file = "/c"}).ca_file == "/c");
  CHECK(of({.server = "https://h", .ca_file = "c"}).ca_file.front() == '/');
  CHECK(of({.server = "http://user:word@host:1/path@x"}).shown() == "http://host:1/path@x");
  CHECK(of({.server = "http://host/p"}).shown() == "http://host/p");
  CHECK(of({.server = "http://host/a@b"}).shown() == "http://host/a@b");
  ::setenv("STACYVM_URL", "https://there", 1);
  ::setenv("STACYVM_API_KEY", "key", 1);
  CHECK(of({}).address == "https://there");
  CHECK(of({}).api_key == "key");
  CHECK(of({.api_key = "other"}).api_key == "other");
  CHECK(of({.server = "/a"}).api_key.empty());
  for (const char* name : {"STACYVM_URL", "STACYVM_API_KEY"}) ::unsetenv(name);
}
