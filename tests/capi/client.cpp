// A client of the installed library, in C++20.
#include <cstdio>
#include <stacyvm/stacyvm.hpp>

int main() {
  try {
    stacyvm::Options options;
    options.state_dir = "ftp://example.org";
    stacyvm::Instance instance(options);
  } catch (const stacyvm::Error& error) {
    std::printf("stacyvm %s: %s\n", stacyvm::version().c_str(), error.what());
    return error.code() == STACYVM_E_UNSUPPORTED ? 0 : 1;
  }
  return 1;
}
