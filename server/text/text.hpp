// Bytes as JSON text. Pure.
#pragma once
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace text {

bool is_utf8(std::string_view bytes);
/// How many bytes at the end may begin a character of which the rest is still to come: 0 to 3.
size_t utf8_incomplete(std::string_view bytes);
std::string base64(std::string_view bytes);
/// RFC 4648 section 4, with its padding or without. Nothing for what is not that.
std::optional<std::string> from_base64(std::string_view text);
/// A JSON string, with its quotes. Each byte that is no part of a UTF-8 character becomes U+FFFD; U+2028 and U+2029, at which some
/// readers end a line, are escaped.
std::string json_string(std::string_view text);
/// The members NAME with the text, or NAME_b64 where the bytes are not UTF-8, as the library's own answers have it.
std::string json_bytes_member(std::string_view name, const std::string& bytes);

}  // namespace text
