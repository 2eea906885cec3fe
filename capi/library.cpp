#include <cstdlib>
#include <cstring>
#include <string_view>

#include "guard.hpp"
#include "providers/native/report.hpp"

using namespace svm;
using namespace svm::capi;

namespace {
constexpr char kVersion[] = SVM_VERSION;  // the build's; a test compares it with the header's
constexpr std::string_view kFeatures[] = {"native", "files", "queue", "exec.text", "detached", "names", "idempotency", "events", "exec.pty", "exec.background", "console", "settings", "templates", "metrics", "remote"};
}  // namespace

uint32_t stacyvm_version(void) { return STACYVM_VERSION; }
const char* stacyvm_version_string(void) { return kVersion; }

int32_t stacyvm_has_feature(const char* name) {
  if (!name) return 0;
  for (const std::string_view feature : kFeatures)
    if (feature == name) return 1;
  return 0;
}

void stacyvm_struct_init(void* options, uint32_t size) {
  if (!options || size < sizeof size) return;
  std::memset(options, 0, size);
  std::memcpy(options, &size, sizeof size);
}

void stacyvm_free(void* owned) { std::free(owned); }

int32_t stacyvm_host_report(char** json_out, stacyvm_error** err) {
  return guard(err, [&] {
    require_output(json_out, "json_out");
    *json_out = static_cast<char*>(copy_out(providers::native::host_report_json()));
    return STACYVM_OK;
  });
}

int32_t stacyvm_host_report_text(char** text_out, stacyvm_error** err) {
  return guard(err, [&] {
    require_output(text_out, "text_out");
    *text_out = static_cast<char*>(copy_out(providers::native::host_report_text()));
    return STACYVM_OK;
  });
}
