// How an operation says that it failed: one line of printable ASCII that names the thing inside the sandbox.
#pragma once
#include <string>
#include <string_view>

#include "core/codes.hpp"
#include "protocol/message.hpp"

namespace svm::agent {

inline constexpr size_t kMaxMessageBytes = 512;

/// The text with every byte outside printable ASCII (and the backslash) escaped as \xNN; cut with "..." so that the result
/// fits `limit` bytes (at least 3).
std::string printable(std::string_view text, size_t limit);

/// "verb subject: detail". Empty parts are left out; the subject is cut where the line would exceed kMaxMessageBytes.
protocol::Result failure(Code code, int error, std::string_view verb, std::string_view subject, std::string_view detail);
/// The same with the kernel's words for `error`, and the code that belongs to it.
protocol::Result failure(int error, std::string_view verb, std::string_view subject);
/// The kernel's words for an errno, first letter in lower case.
std::string error_text(int error);

}  // namespace svm::agent
