#include "model/duration.hpp"

#include <doctest/doctest.h>

#include <cstdint>

using namespace svm::model;

namespace {
constexpr int64_t kMs = 1'000'000, kS = 1000 * kMs, kM = 60 * kS, kH = 60 * kM;
}

TEST_CASE("duration: parses what Go parses") {
  struct Case { std::string_view text; int64_t ns; };
  const Case cases[] = {
      {"0", 0}, {"+0", 0}, {"-0", 0}, {"0s", 0}, {"5s", 5 * kS}, {"30s", 30 * kS}, {"1478s", 1478 * kS}, {"-5s", -5 * kS}, {"+5s", 5 * kS}, {"5.0s", 5 * kS},
      {"5.6s", 5600 * kMs}, {"5.s", 5 * kS}, {".5s", 500 * kMs}, {"1.0s", kS}, {"1.00s", kS}, {"1.004s", 1004 * kMs}, {"100.00100s", 100'001 * kMs},
      {"10ns", 10}, {"11us", 11'000}, {"12\u00b5s", 12'000}, {"12\u03bcs", 12'000}, {"13ms", 13 * kMs}, {"14s", 14 * kS}, {"15m", 15 * kM}, {"16h", 16 * kH},
      {"3h30m", 3 * kH + 30 * kM}, {"10.5s4m", 10'500 * kMs + 4 * kM}, {"-2m3.4s", -(2 * kM + 3400 * kMs)}, {"1h2m3s4ms5us6ns", kH + 2 * kM + 3 * kS + 4 * kMs + 5006},
      {"39h9m14.425s", 39 * kH + 9 * kM + 14'425 * kMs}, {"52763797000ns", 52'763'797'000}, {"0.3333333333333333333h", 20 * kM},
      {"9007199254740993ns", 9'007'199'254'740'993}, {"9223372036854775807ns", INT64_MAX}, {"9223372036854775.807us", INT64_MAX},
      {"-9223372036854775808ns", INT64_MIN}, {"-9223372036854775.808us", INT64_MIN}, {"0.100000000000000000000h", 6 * kM}, {"0.9223372036854775807h", 3'320'413'933'267}};
  for (const Case& c : cases) {
    int64_t ns = -1;
    CHECK_MESSAGE(duration_parse(c.text, ns), std::string(c.text));
    CHECK_MESSAGE(ns == c.ns, std::string(c.text), " gave ", ns);
  }
}

TEST_CASE("duration: refuses what Go refuses") {
  for (const std::string_view text : {"", "3", "-", "+", "s", ".", "-.", ".s", "+.s", "1d", "\x85\x85", "\xff" "ff", "hello \xff" "ff world", "1e3s", "1 s", " 1s", "1s ", "1S", "--1s", "1h-1m",
                                      "9223372036854775810ns", "9223372036854775808ns", "-9223372036854775809ns", "9223372036854776us", "3000000h", "9223372036854775.808us",
                                      "9223372036854ms775us808ns", "99999999999999999999h", "18446744073709551617ns", "9223372036854775807ns1ns", "9223372036854775808ns9223372036854775808ns"}) {
    int64_t ns = 0;
    CHECK_MESSAGE(!duration_parse(text, ns), std::string(text));
  }
}

TEST_CASE("duration: formats as Go formats, and back") {
  struct Case { int64_t ns; std::string_view text; };
  const Case cases[] = {{0, "0s"}, {1, "1ns"}, {1100, "1.1\u00b5s"}, {2'200'000, "2.2ms"}, {3'300'000'000, "3.3s"}, {4 * kM + 5 * kS, "4m5s"}, {4 * kM + 5001 * kMs, "4m5.001s"},
                        {5 * kH + 6 * kM + 7001 * kMs, "5h6m7.001s"}, {8 * kM + 1, "8m0.000000001s"}, {INT64_MAX, "2562047h47m16.854775807s"},
                        {INT64_MIN, "-2562047h47m16.854775808s"}, {127'300'000, "127.3ms"}, {2 * kH, "2h0m0s"}, {102 * kS, "1m42s"}, {-kS, "-1s"}, {999'999'999, "999.999999ms"}};
  for (const Case& c : cases) {
    CHECK(duration_format(c.ns) == c.text);
    int64_t back = -1;
    CHECK(duration_parse(c.text, back));
    CHECK(back == c.ns);
  }
}

TEST_CASE("duration: a written duration never becomes none") {
  CHECK(duration_ms(0) == 0);
  CHECK(duration_ms(1) == 1);
  CHECK(duration_ms(kMs) == 1);
  CHECK(duration_ms(kMs + 1) == 2);
  CHECK(duration_ms(-1) == -1);
  CHECK(duration_ms(INT64_MAX) == 9'223'372'036'855);
}
