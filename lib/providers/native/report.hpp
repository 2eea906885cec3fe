// The host report: what this machine can enforce, found by the embedded executable's probe mode.
#pragma once
#include <string>

namespace svm::providers::native {

/// {"rows":[{"name","ok","errno","error","value","detail","meaning"}...]}. Starts a process and waits for it (at most
/// kProbeTimeoutMs); opens nothing. Throws Error unavailable when it cannot run.
std::string host_report_json();
/// The same for people: a line for each row.
std::string host_report_text();
inline constexpr int64_t kProbeTimeoutMs = 20'000;

}  // namespace svm::providers::native
