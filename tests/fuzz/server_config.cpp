// stacyvm.yaml: what is refused is refused in one line, and what is not gives the library JSON.
#include <stdexcept>

#include "harness.hpp"
#include "serve/config.hpp"
#include "serve/json.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string yaml(svm::fuzz::text(data, size));
  try {
    const serve::Config config = serve::parse_config(yaml, "x.yaml", {});
    SVM_INVARIANT(serve::frame_members(config.settings).has_value());
    SVM_INVARIANT(config.max_connections > 0 && config.max_connections_per_address > 0 && config.shutdown_timeout_ms >= 0);
    SVM_INVARIANT(config.tls_cert_file.empty() == config.tls_key_file.empty());
  } catch (const std::runtime_error& error) {
    SVM_INVARIANT(std::string_view(error.what()).find('\n') == std::string_view::npos);
  }
  return 0;
}
