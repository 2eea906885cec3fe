// The one set of result codes: the numbers of the C ABI, the words of the wire, the HTTP statuses.
// No exceptions here: the agent uses this file too.
#pragma once
#include <cstdint>
#include <string_view>

namespace svm {

enum class Code : int32_t {
  ok = 0,
  invalid = -1,
  unauthorized = -2,
  forbidden = -3,
  not_found = -4,
  conflict = -5,
  limit = -6,
  timeout = -7,
  cancelled = -8,
  unavailable = -9,
  unsupported = -10,
  closed = -11,
  forked = -12,
  again = -13,  // not an error: nothing yet
  end = -14,    // not an error: end of stream
  io = -15,
  file_not_found = -16,
  internal = -99,
};

/// The wire's upper-case word, e.g. "NOT_FOUND"; "INTERNAL_ERROR" for a code this build does not know.
std::string_view code_name(Code code) noexcept;

/// The HTTP status that carries the code.
int code_http_status(Code code) noexcept;

/// The code for an errno of a file or process operation inside a sandbox (ENOENT is file_not_found, ENOSPC is limit ...).
Code code_from_errno(int error) noexcept;

/// Whether a number read from a peer is one of the codes above.
bool code_is_known(int32_t number) noexcept;

}  // namespace svm
