// Expectations about the Error that a refused request becomes.
#pragma once
#include <doctest/doctest.h>

#include <optional>
#include <string>
#include <string_view>

#include "core/error.hpp"

namespace svm::test {

/// The Error that `act` throws; fails the test and gives nothing when it throws none.
template <class F>
std::optional<Error> error_of(F act) {
  try {
    act();
  } catch (const Error& error) {
    return error;
  }
  return std::nullopt;
}

inline std::string fact(const Error& error, std::string_view name) {
  for (const auto& [key, value] : error.facts())
    if (key == name) return value;
  return "";
}

/// `act` is refused as invalid and names the field.
template <class F>
void check_refused(std::string_view field, F act) {
  const std::optional<Error> error = error_of(act);
  REQUIRE_MESSAGE(error, "was accepted; field ", std::string(field));
  CHECK(error->code() == Code::invalid);
  CHECK_MESSAGE(fact(*error, "field") == field, error->message());
  CHECK(error->message().find('\n') == std::string::npos);
}

}  // namespace svm::test
