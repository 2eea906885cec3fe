#include "model/timestamp.hpp"

#include <doctest/doctest.h>

#include <cstdint>

using namespace svm::model;

TEST_CASE("timestamp: known moments, both ways") {
  struct Case { int64_t ns; std::string_view text; };
  const Case cases[] = {{0, "1970-01-01T00:00:00Z"},
                        {1, "1970-01-01T00:00:00.000000001Z"},
                        {-1, "1969-12-31T23:59:59.999999999Z"},
                        {1'000'000'000'000'000'000, "2001-09-09T01:46:40Z"},
                        {951'782'400'000'000'000, "2000-02-29T00:00:00Z"},
                        {4'107'542'400'000'000'000, "2100-03-01T00:00:00Z"},
                        {1'234'567'890'120'000'000, "2009-02-13T23:31:30.12Z"},
                        {INT64_MAX, "2262-04-11T23:47:16.854775807Z"},
                        {INT64_MIN, "1677-09-21T00:12:43.145224192Z"}};
  for (const Case& c : cases) {
    CHECK(timestamp_format(c.ns) == c.text);
    int64_t back = 42;
    CHECK(timestamp_parse(c.text, back));
    CHECK(back == c.ns);
  }
}

TEST_CASE("timestamp: milliseconds, held within four-digit years") {
  CHECK(timestamp_format_ms(1'767'323'045'678) == "2026-01-02T03:04:05.678Z");
  CHECK(timestamp_format_ms(-1) == "1969-12-31T23:59:59.999Z");
  CHECK(timestamp_format_ms(253'402'300'799'999) == "9999-12-31T23:59:59.999Z");
  CHECK(timestamp_format_ms(253'402'300'800'000) == "9999-12-31T23:59:59Z");
  CHECK(timestamp_format_ms(INT64_MIN) == "0000-01-01T00:00:00Z");
}

TEST_CASE("timestamp: offsets are applied") {
  int64_t ns = 0;
  CHECK(timestamp_parse("1970-01-01T02:00:00+02:00", ns));
  CHECK(ns == 0);
  CHECK(timestamp_parse("1969-12-31T18:30:00.5-05:30", ns));
  CHECK(ns == 500'000'000);
}

TEST_CASE("timestamp: anything else is refused") {
  for (const std::string_view text : {"", "1970-01-01", "1970-01-01T00:00:00", "1970-01-01 00:00:00Z", "1970-01-01t00:00:00z", "1970-13-01T00:00:00Z", "1970-00-01T00:00:00Z",
                                      "1970-02-29T00:00:00Z", "1900-02-29T00:00:00Z", "1970-01-01T24:00:00Z", "1970-01-01T00:60:00Z", "1970-01-01T23:59:60Z", "1970-01-01T00:00:00.Z",
                                      "1970-01-01T00:00:00.1234567890Z", "1970-01-01T00:00:00ZZ", "1970-01-01T00:00:00+2:00", "1970-01-01T00:00:00+24:00", "70-01-01T00:00:00Z",
                                      "2262-04-11T23:47:16.854775808Z", "1677-09-21T00:12:43.145224191Z", "9999-12-31T23:59:59Z", "-970-01-01T00:00:00Z"}) {
    int64_t ns = 0;
    CHECK_MESSAGE(!timestamp_parse(text, ns), std::string(text));
  }
}
