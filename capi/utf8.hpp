// Where text that arrives in pieces may be cut. A pure function.
#pragma once
#include <cstddef>
#include <string_view>

namespace svm::capi {

/// The length of the longest prefix that does not end inside a character. At most 3 bytes are left over, and only such as more
/// bytes could still complete; what can never become UTF-8 counts as complete.
size_t utf8_boundary(std::string_view bytes) noexcept;

}  // namespace svm::capi
