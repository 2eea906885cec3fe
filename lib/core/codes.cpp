#include "core/codes.hpp"

#include <cerrno>

namespace svm {
namespace {
struct Row {
  Code code;
  std::string_view name;
  int http;
};
// Names are those that existing HTTP clients know. FILE_NOT_FOUND is 422, not 404: clients read 404 as "sandbox gone". UNSUPPORTED is 422,
// not 501: the request is understood, and another one would be served; clients take 5xx for a fault of the server.
constexpr Row kRows[] = {
    {Code::ok, "OK", 200},
    {Code::invalid, "BAD_REQUEST", 400},
    {Code::unauthorized, "UNAUTHORIZED", 401},
    {Code::forbidden, "FORBIDDEN", 403},
    {Code::not_found, "NOT_FOUND", 404},
    {Code::conflict, "CONFLICT", 409},
    {Code::limit, "RESOURCE_LIMIT", 429},
    {Code::timeout, "TIMEOUT", 408},
    {Code::cancelled, "CANCELLED", 499},
    {Code::unavailable, "UNAVAILABLE", 503},
    {Code::unsupported, "UNSUPPORTED", 422},
    {Code::closed, "CLOSED", 410},
    {Code::forked, "FORKED", 500},
    {Code::again, "AGAIN", 503},
    {Code::end, "END", 200},
    {Code::io, "IO_ERROR", 500},
    {Code::file_not_found, "FILE_NOT_FOUND", 422},
    {Code::internal, "INTERNAL_ERROR", 500},
};
}  // namespace

std::string_view code_name(Code code) noexcept {
  for (const Row& row : kRows)
    if (row.code == code) return row.name;
  return "INTERNAL_ERROR";
}

int code_http_status(Code code) noexcept {
  for (const Row& row : kRows)
    if (row.code == code) return row.http;
  return 500;
}

bool code_is_known(int32_t number) noexcept {
  for (const Row& row : kRows)
    if (static_cast<int32_t>(row.code) == number) return true;
  return false;
}

Code code_from_errno(int error) noexcept {
  switch (error) {
    case 0: return Code::ok;
    case ENOENT: return Code::file_not_found;
    case EACCES:
    case EPERM:
    case EROFS: return Code::forbidden;
    case EEXIST:
    case ENOTEMPTY:
    case EBUSY:
    case ETXTBSY: return Code::conflict;
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case EAGAIN:
    case EFBIG: return Code::limit;
    case EINVAL:
    case ENAMETOOLONG:
    case ENOTDIR:
    case EISDIR:
    case ELOOP:
    case EXDEV:
    case E2BIG:
    case ENOEXEC: return Code::invalid;
    case ENOSYS:
    case EPROTOTYPE:
    case EOPNOTSUPP: return Code::unsupported;
    case ETIMEDOUT: return Code::timeout;
    case ECANCELED: return Code::cancelled;
    case ECONNREFUSED: return Code::unavailable;
    case EIO:
    case EPIPE:
    case ECONNRESET: return Code::io;
    default: return Code::internal;
  }
}

}  // namespace svm
