#include "ops/operation.hpp"

namespace svm::ops {

std::string_view scope_name(Scope scope) noexcept {
  switch (scope) {
    case Scope::sandbox_read: return "sandbox:read";
    case Scope::sandbox_write: return "sandbox:write";
    case Scope::exec: return "exec";
    case Scope::file_read: return "file:read";
    case Scope::file_write: return "file:write";
    case Scope::template_read: return "template:read";
    case Scope::template_write: return "template:write";
    case Scope::system_read: return "system:read";
  }
  return "";
}

}  // namespace svm::ops
