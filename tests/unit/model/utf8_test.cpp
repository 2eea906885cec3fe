#include "model/utf8.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace svm::model;

TEST_CASE("utf8: well-formed text of every length") {
  for (const std::string_view text : {"", "plain ASCII longer than a word", "\x7f", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80", "\xef\xbf\xbf",
                                      "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf", "sieben7\xc3\xa9 acht"})
    CHECK_MESSAGE(is_utf8(text), std::string(text));
}

TEST_CASE("utf8: one step beyond is refused, at the front and behind eight plain bytes") {
  for (const std::string_view text : {"\x80", "\xbf", "\xc0\xaf", "\xc1\xbf", "\xc2", "\xc2\x7f", "\xe0\x9f\xbf", "\xe0\xa0", "\xed\xa0\x80", "\xed\xbf\xbf", "\xf0\x8f\xbf\xbf",
                                      "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xf0\x90\x80", "\xff", "\xfe"}) {
    CHECK_FALSE(is_utf8(text));
    CHECK_FALSE(is_utf8("12345678" + std::string(text)));
    CHECK_FALSE(is_utf8(std::string(text) + "12345678"));
  }
}

TEST_CASE("utf8: a prefix never cuts a character") {
  const std::string text = "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80";  // 1 + 2 + 3 + 4 bytes
  const size_t expected[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 10};
  for (size_t size = 0; size < std::size(expected); ++size) {
    CHECK(utf8_prefix(text, size).size() == expected[size]);
    CHECK(is_utf8(utf8_prefix(text, size)));
  }
}
