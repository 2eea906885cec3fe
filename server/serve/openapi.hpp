// What this server is, in OpenAPI 3.1: made of the library's operation table and the table of routes. Pure.
#pragma once
#include <span>
#include <string>

#include "routes.hpp"

namespace serve {

/// `operations`: what stacyvm_operations gives. Throws std::runtime_error where a route names an operation that is not there.
std::string make_openapi(const std::string& operations, std::span<const Route> routes, const std::string& version, bool keys_needed);

/// A page that shows it: one file, which fetches the description and nothing else.
extern const char* const kDocsPage;

}  // namespace serve
