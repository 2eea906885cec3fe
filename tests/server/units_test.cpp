#include "units.hpp"

#include <doctest/doctest.h>

#include <stdexcept>

using cli::parse_duration_ms, cli::parse_milli_cpus, cli::parse_size;

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
