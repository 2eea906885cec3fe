#include "core/error.hpp"

#include <cstring>
#include <new>

namespace svm {

Error&& Error::with(std::string key, std::string value) && {
  facts_.emplace_back(std::move(key), std::move(value));
  return std::move(*this);
}

Error&& Error::with(std::string key, long long value) && {
  facts_.emplace_back(std::move(key), std::to_string(value));
  return std::move(*this);
}

void Error::prefix(std::string_view context) {
  message_ = std::string(context) + ": " + message_;
}

std::string text_of(const std::exception& error) noexcept {
  try {
    return *error.what() != '\0' ? error.what() : "unknown";
  } catch (const std::bad_alloc&) {
    return "out of memory";  // as short as a string may be without memory
  }
}

std::string errno_text(int error) {
  // strerrordesc_np is locale-free and thread-safe (glibc 2.32).
  const char* text = strerrordesc_np(error);
  return text ? text : "errno " + std::to_string(error);
}

Error errno_error(Code code, int error, std::string_view what) {
  return Error(code, std::string(what) + ": " + errno_text(error)).with("errno", static_cast<long long>(error));
}

Error errno_error(int error, std::string_view what) { return errno_error(code_from_errno(error), error, what); }

}  // namespace svm
