// Random identifiers.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

namespace svm {

/// Fills with bytes from getrandom(2); aborts where the kernel has none to give (nothing safe can follow).
void random_bytes(void* out, size_t size) noexcept;
/// `prefix` + 26 lower-case base32 characters (RFC 4648 alphabet, 128 random bits): "sb-" + ...
std::string random_id(std::string_view prefix);
/// Whether the text is `prefix` followed by exactly 26 characters that random_id can make.
bool is_random_id(std::string_view prefix, std::string_view text) noexcept;
/// RFC 4648 base32, lower case, unpadded.
std::string base32(const void* data, size_t size);

}  // namespace svm
