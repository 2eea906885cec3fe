// A server's "no" as the error that it was there.
#pragma once
#include <string_view>

#include "core/error.hpp"
#include "model/json.hpp"

namespace svm::remote {

/// {"code", "message", "details"} as an Error; facts are the details' texts and numbers.
Error failure_of(const model::Json& json);
/// The answer of an HTTP request that did not go well. One that is not the server's own JSON (a proxy's page) is unavailable, with its status.
Error failure_of(int status, std::string_view body);

}  // namespace svm::remote
