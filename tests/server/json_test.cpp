// The JSON that the server itself reads, and bytes as text.
#include "serve/json.hpp"

#include <doctest/doctest.h>

#include <string>

#include "text.hpp"

using namespace std::string_literals;
using Members = std::map<std::string, std::string>;

TEST_CASE("whether a stream is asked for") {
  for (const char* yes : {R"({"stream":true})", R"( { "a" : [1,{"stream":false}] , "stream" : true } )", R"({"str\u0065am":true})", R"({"stream":false,"stream":true})"})
    CHECK_MESSAGE(serve::asks_for_stream(yes), std::string(yes));
  for (const char* no : {"", "{}", R"({"stream":false})", R"({"stream":"true"})", R"({"stream":1})", R"({"stream":null})", R"({"Stream":true})", R"({"a":{"stream":true}})", R"([{"stream":true}])",
                         R"({"stream":true)", R"({"stream":true}x)", R"("stream")", R"({"a":"\"stream\":true"})", R"({"stream":true,"stream":false})"})
    CHECK_MESSAGE(!serve::asks_for_stream(no), std::string(no));
}

TEST_CASE("members of a frame") {
  CHECK(serve::frame_members("{}") == Members{});
  CHECK(serve::frame_members(R"({"a":"x","b":1,"c":-2.50e1,"d":true,"e":null,"f":{"a":"no"},"g":["no"],"h":""})") == Members{{"a", "x"}, {"b", "1"}, {"c", "-2.50e1"}, {"d", "true"}, {"h", ""}});
  CHECK(serve::frame_members(R"({"a":"\u00e9\n\u0000"})") == Members{{"a", "\xc3\xa9\n\0"s}});
  CHECK(serve::frame_members(R"({"a":"1","a":"2"})") == Members{{"a", "2"}});
  for (const auto& bad : {""s, " "s, "x"s, "1"s, "null"s, "true"s, "\"a\""s, "[]"s, R"(["a"])"s, R"({"a")"s, R"({"a":1)"s, R"({"a":01})"s, R"({"a":1}2)"s, R"({a:1})"s, "{\"a\":\"\xff\"}"s, R"({"a":"\ud800"})"s, R"({"a":"\udc00"})"s, R"({"\udc00":1})"s, R"({"b":["\udc00"]})"s, "{\"a\":\"\n\"}"s})
    CHECK_MESSAGE(!serve::frame_members(bad), std::string(bad));
}

TEST_CASE("nesting costs no stack") {
  const std::string deep(1u << 20, '[');
  CHECK_FALSE(serve::frame_members("{\"a\":" + deep));
  CHECK(serve::frame_members("{\"a\":" + deep + std::string(deep.size(), ']') + ",\"b\":\"c\"}") == Members{{"b", "c"}});
}

TEST_CASE("base64 is read with its padding or without (RFC 4648)") {
  for (const auto& [text, bytes] : {std::pair("", ""s), {"Zg==", "f"s}, {"Zg", "f"s}, {"Zm8=", "fo"s}, {"Zm8", "fo"s}, {"Zm9v", "foo"s}, {"Zm9vYg==", "foob"s}, {"//77", "\xff\xfe\xfb"s}, {"AAA=", "\0\0"s}})
    CHECK_MESSAGE(text::from_base64(text) == bytes, std::string(text));
  for (const char* bad : {"Z", "Zg=", "Zm9vY", "Zg===", "=", "====", "Z g=", "Zg==Zg==", "Zh==", "Zm9=", "-_77", "Zm9v\n", "Zm9\x80"}) CHECK_MESSAGE(!text::from_base64(bad), std::string(bad));
  std::string all;
  for (int i = 0; i < 256; ++i) {
    all += static_cast<char>(i);
    CHECK(text::from_base64(text::base64(all)) == all);
  }
}

TEST_CASE("a character that is cut at the end is known by its beginning") {
  const std::string text = "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80";
  const size_t incomplete[] = {0, 0, 1, 0, 1, 2, 0, 1, 2, 3, 0};
  for (size_t size = 0; size <= text.size(); ++size) CHECK_MESSAGE(text::utf8_incomplete(std::string_view(text).substr(0, size)) == incomplete[size], size);
  for (const char* none : {"\x80", "\x80\x80\x80", "\xff", "\xc1", "\xf5", "a\xa9"}) CHECK_MESSAGE(text::utf8_incomplete(none) == 0, std::string(none));
  CHECK(text::utf8_incomplete("\xf0\x9f\x98") == 3);
  CHECK(text::utf8_incomplete("\xff\xc3") == 1);
}

TEST_CASE("line separators that some readers split at are escaped") {
  CHECK(text::json_string("a\xe2\x80\xa8" "b\xe2\x80\xa9") == "\"a\\u2028b\\u2029\"");
  CHECK(text::json_string("\xe2\x82\xac") == "\"\xe2\x82\xac\"");
  CHECK(text::json_string("\xe2\x80\xa8\xff\xe2\x82\xac\xe2\x82") == "\"\\u2028\xef\xbf\xbd\xe2\x82\xac\xef\xbf\xbd\xef\xbf\xbd\"");
  CHECK(text::json_string("\x7f\r\t") == "\"\x7f\\u000D\\u0009\"");
}
