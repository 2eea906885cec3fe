// stacyvm.hpp by itself, as C++20, pedantic.
#include <stacyvm/stacyvm.hpp>

int main() {
  const std::string operations = stacyvm::operations();
  try {
    stacyvm::Instance local = stacyvm::Instance::open_begin().instance();
    if (!local.session_begin("here").session().check().starts_with("{\"actor\":\"local\"")) return 2;
  } catch (const stacyvm::Error& error) {
    if (error.code() != STACYVM_E_UNSUPPORTED && error.code() != STACYVM_E_FORBIDDEN) return 3;  // a host without namespaces
  }
  try {
    stacyvm::Instance remote({.state_dir = "ftp://example.org", .flags = 0, .log_fd = -1, .log_level = STACYVM_LOG_DEFAULT});
  } catch (const stacyvm::Error& error) {
    return operations.starts_with('[') && error.code() == STACYVM_E_UNSUPPORTED && error.name() == "UNSUPPORTED" ? 0 : 1;
  }
  return 1;
}
