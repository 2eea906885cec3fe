#include "model/json.hpp"

#include "expect.hpp"
#include "model/limits.hpp"

using namespace svm;
using namespace svm::model;
using svm::test::check_refused;
using svm::test::error_of;

namespace {

void refused(std::string_view text) {
  INFO("text: ", std::string(text));
  check_refused("body", [&] { json_parse(text, "body"); });
}

std::string nested(unsigned depth) { return std::string(depth, '[') + std::string(depth, ']'); }

std::string quoted(std::string_view text) {
  std::string out;
  json_append_string(out, text);
  return out;
}

}  // namespace

TEST_CASE("json: values of every type") {
  const Json json = json_parse(R"( {"a":null,"b":[true,false],"c":"x\u00e9\ud83d\ude00\n","d":-12.50e+3,"":{}} )", "body");
  REQUIRE(json.type == Json::Type::object);
  REQUIRE(json.names == std::vector<std::string>{"a", "b", "c", "d", ""});
  CHECK(json.items[0].type == Json::Type::null);
  REQUIRE(json.items[1].items.size() == 2);
  CHECK(json.items[1].items[0].boolean);
  CHECK_FALSE(json.items[1].items[1].boolean);
  CHECK(json.items[2].text == "x\u00e9\U0001f600\n");
  CHECK(json.items[3].type == Json::Type::number);
  CHECK(json.items[3].text == "-12.50e+3");  // as written
  CHECK(json.items[4].type == Json::Type::object);
}

TEST_CASE("json: numbers keep their text, however large") {
  for (const std::string_view text : {"0", "-0", "1e308", "-1E-999", "123456789012345678901234567890", "0.1", "1.0"}) {
    const Json json = json_parse(text, "body");
    CHECK(json.type == Json::Type::number);
    CHECK(json.text == text);
  }
}

TEST_CASE("json: what is not one JSON value is refused") {
  for (const std::string_view text : {"", " ", "{", "}", "[1,]", "{\"a\":1,}", "{\"a\"}", "{a:1}", "{'a':1}", "{\"a\":1}x", "{} {}", "{},", "01", "+1", "1.", ".5", "1e", "-", "1e999", "nul", "True",
                                      "NaN", "Infinity", "-Infinity", "\"", "\"\\x41\"", "\"\\u12\"", "\"a\nb\"", "\"a\tb\"", "/* c */ 1", "1 // c", "[1 2]", "\xef\xbb\xbf{}", "tru", "\"\\", "[", "{\"a\":"})
    refused(text);
}

TEST_CASE("json: a NUL byte hides nothing behind it") {
  refused(std::string_view("{}\0{\"a\":1}", 10));
  refused(std::string_view("{}\0", 3));
  refused(std::string_view("\"a\0b\"", 5));
  CHECK(json_parse("\"a\\u0000b\"", "body").text == std::string("a\0b", 3));  // escaped it is a string's content
}

TEST_CASE("json: bytes that are not UTF-8 and lone surrogates are refused") {
  for (const std::string_view text : {"\"\xff\"", "\"\xc0\xaf\"", "\"\xed\xa0\x80\"", "{\"\xff\":1}", "\"\\ud800\"", "\"\\udc00\"", "\"\\ud800x\"", "\"\\ud800\\ud800\"", "\"\\udc00\\ud800\"",
                                      "{\"\\ud800\":1}", "{\"\\udfff\":1}"})
    refused(text);
}

TEST_CASE("json: a member given twice is refused, at any depth and however it is spelt") {
  refused(R"({"a":1,"a":1})");
  refused(R"({"a":1,"b":2,"\u0061":3})");
  refused(R"({"x":[{"a":1,"b":{},"a":2}]})");
  CHECK_NOTHROW(json_parse(R"({"a":{"a":1},"A":2})", "body"));
}

TEST_CASE("json: depth, size and count at their limits and one beyond") {
  CHECK_NOTHROW(json_parse(nested(kMaxJsonDepth), "body"));
  refused(nested(kMaxJsonDepth + 1));
  refused(std::string(1'000'000, '['));

  std::string body(kMaxBodyBytes, ' ');
  body[0] = '1';
  CHECK_NOTHROW(json_parse(body, "body"));
  refused(body + ' ');

  std::string items = "[";
  for (size_t i = 0; i < kMaxJsonValues - 1; ++i) items += i == 0 ? "1" : ",1";
  CHECK_NOTHROW(json_parse(items + ']', "body"));
  refused(items + ",1]");
}

TEST_CASE("json: an error repeats nothing of the text") {
  const auto error = error_of([] { json_parse(R"({"password":"hunter2",})", "body"); });
  REQUIRE(error);
  CHECK(error->message().find("hunter2") == std::string::npos);
  CHECK(error->message().find("password") == std::string::npos);
}

TEST_CASE("json: strings are escaped and come back") {
  CHECK(quoted("plain") == "\"plain\"");
  CHECK(quoted("\"\\\n\r\t\b\x01\x1f\x7f/<>&") == "\"\\\"\\\\\\n\\r\\t\\u0008\\u0001\\u001f\x7f/<>&\"");
  CHECK(quoted("a\u2028b\u2029c\u202a") == "\"a\\u2028b\\u2029c\u202a\"");
  CHECK(quoted("a\xff\xc3") == "\"a\uFFFD\uFFFD\"");
  std::string all;
  for (int c = 0; c < 128; ++c) all += static_cast<char>(c);
  all += "\u00e9\u2028\U0001f600";
  CHECK(json_parse(quoted(all), "body").text == all);
}
