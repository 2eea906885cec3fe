// UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing beyond U+10FFFF.
#pragma once
#include <cstddef>
#include <string_view>

namespace svm::model {

/// Bytes of the well-formed character at the front of `text`, 0 when there is none.
size_t utf8_character(std::string_view text) noexcept;
bool is_utf8(std::string_view text) noexcept;
/// The longest prefix of at most `size` bytes that does not cut a character.
std::string_view utf8_prefix(std::string_view text, size_t size) noexcept;

}  // namespace svm::model
