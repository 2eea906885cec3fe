#include <doctest/doctest.h>

#include <set>
#include <string_view>

#include "protocol/message.hpp"

using namespace svm::protocol;

namespace {
bool is_word(std::string_view text) {
  return !text.empty() && text.find_first_not_of("abcdefghijklmnopqrstuvwxyz_") == text.npos;
}
}  // namespace

TEST_CASE("every enforcement bit has a name of its own") {
  std::set<std::string_view> seen;
  for (unsigned bit = 0; bit < kEnforcedBits; ++bit) {
    CAPTURE(bit);
    REQUIRE(enforced_name(bit) != nullptr);
    CHECK(is_word(enforced_name(bit)));
    CHECK(seen.insert(enforced_name(bit)).second);
  }
  CHECK(enforced_name(kEnforcedBits) == nullptr);
  CHECK(enforced_name(63) == nullptr);
  CHECK(enforced_name(~0u) == nullptr);
  CHECK(std::string_view(enforced_name(0)) == "user_namespace");
  CHECK(std::string_view(enforced_name(16)) == "fds_closed");
  CHECK(std::string_view(enforced_name(22)) == "memory");
  CHECK(std::string_view(enforced_name(27)) == "user_per_exec");
}

TEST_CASE("every step has a name of its own") {
  std::set<std::string_view> seen;
  const auto last = static_cast<uint16_t>(Step::former_launcher);
  for (uint16_t number = 0; number <= last; ++number) {
    CAPTURE(number);
    CHECK(step_is_known(number));
    CHECK(is_word(step_name(static_cast<Step>(number))));
    CHECK(seen.insert(step_name(static_cast<Step>(number))).second);
  }
  CHECK_FALSE(step_is_known(static_cast<uint16_t>(last + 1)));
  CHECK_FALSE(step_is_known(UINT16_MAX));
  CHECK(std::string_view(step_name(static_cast<Step>(last + 1))) == "unknown");
  CHECK(std::string_view(step_name(Step::proc)) == "mount_proc");
  CHECK(std::string_view(step_name(Step::pivot_root)) == "pivot_root");
  CHECK(std::string_view(step_name(Step::exec_agent)) == "exec_agent");
  CHECK(std::string_view(step_name(Step::seccomp)) == "seccomp");
}
