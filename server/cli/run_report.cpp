#include "../text/text.hpp"
#include "run_report.hpp"

#include <charconv>

#include "output.hpp"
#include "units.hpp"

namespace cli {
namespace {

const char* reason_name(int32_t reason) {
  switch (reason) {
    case STACYVM_REASON_EXITED: return "exited";
    case STACYVM_REASON_TIMEOUT: return "timeout";
    case STACYVM_REASON_OOM: return "oom";
    case STACYVM_REASON_OUTPUT_LIMIT: return "output_limit";
    case STACYVM_REASON_CANCELLED: return "cancelled";
    default: return "signalled";
  }
}

/// Milliseconds with some decimals, whatever the locale.
std::string milliseconds(double ms, int decimals) {
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, ms, std::chars_format::fixed, decimals).ptr;
  return {text, end};
}

}  // namespace

std::string to_json(const RunReport& report) {
  std::string out = "{\"exit_code\":" + std::to_string(report.status);
  if (const auto& r = report.result) {
    out += std::string(",\"reason\":\"") + reason_name(r->reason) + "\",\"signal\":" + std::to_string(r->signal);
    out += ",\"duration\":\"" + format_duration(r->wall.count()) + "\",\"cpu_us\":" + std::to_string(r->cpu.count());
    out += ",\"memory_peak_bytes\":" + std::to_string(r->memory_peak_bytes);
  }
  if (!report.exec_id.empty()) out += ",\"exec_id\":" + text::json_string(report.exec_id);
  if (const auto& e = report.error)
    out += ",\"error\":{\"code\":" + text::json_string(e->name()) + ",\"message\":" + text::json_string(e->what()) +
           ",\"details\":" + e->details() + '}';
  out += ',' + text::json_bytes_member("stdout", report.output.out) + ',' + text::json_bytes_member("stderr", report.output.err);
  if (report.spawn_ms) out += ",\"spawn_ms\":" + milliseconds(*report.spawn_ms, 3);
  out += ",\"exec_ms\":" + milliseconds(report.exec_ms, 3);
  out += ",\"total_ms\":" + milliseconds(report.total_ms, 3);
  return out + ",\"sandbox\":" + (report.sandbox.empty() ? "null" : report.sandbox) + "}\n";
}

std::string to_timings(const RunReport& report) {
  return "sandbox ready after " + milliseconds(report.spawn_ms.value_or(0), 1) + " ms, command took " + milliseconds(report.exec_ms, 1) +
         " ms, gone after " + milliseconds(report.total_ms, 1) + " ms";
}

}  // namespace cli
