// From svm::Error to the stacyvm_error of the C ABI.
#pragma once
#include <stacyvm/stacyvm.h>

#include <string>
#include <string_view>

#include "core/error.hpp"

namespace svm::capi {

/// Never fails: without memory it answers a static object.
stacyvm_error* make_error(const Error& error) noexcept;
stacyvm_error* out_of_memory_error() noexcept;

/// Error invalid about the argument or field named.
Error invalid(std::string field, std::string_view problem);

/// The facts as a JSON object. What is not UTF-8 becomes U+FFFD.
std::string details_json(const Error::Facts& facts);

/// A malloc'ed copy with a NUL after its end, for `char **` and `void **` outputs.
void* copy_out(std::string_view bytes);

}  // namespace svm::capi
