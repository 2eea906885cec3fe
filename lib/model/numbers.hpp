// The wire's spelling of every kind that is stored as a number. Internal to lib/model.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "model/fields.hpp"

namespace svm::model {

/// Whether the kind is stored as a number, and whether JSON spells it as a string.
bool is_number(Kind kind) noexcept;
bool is_quoted_number(Kind kind) noexcept;

enum class NumberStatus { ok, malformed, too_large };
/// Exactly: nothing is rounded or cut, but durations below the unit go up to it.
NumberStatus number_parse(Kind kind, std::string_view text, int64_t& value) noexcept;
std::string number_spell(Kind kind, int64_t value);
/// "a whole number", "a duration such as 300ms or 1h30m" ...
std::string_view number_expected(Kind kind) noexcept;

}  // namespace svm::model
