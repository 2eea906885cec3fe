#include "providers/native/report.hpp"

#include <poll.h>
#include <unistd.h>

#include <cerrno>

#include "core/bytes.hpp"
#include "core/clock.hpp"
#include "core/error.hpp"
#include "model/json.hpp"
#include "providers/native/embedded.hpp"

namespace svm::providers::native {
namespace {

constexpr size_t kMaxReportBytes = 256 * 1024;
constexpr size_t kMinRowBytes = 24;  // three lengths, an errno, a value

/// Reads to end of file within the time.
std::string read_report(int fd) {
  std::string text;
  const int64_t end = system_clock().monotonic_ms() + kProbeTimeoutMs;
  char buffer[16384];
  for (;;) {
    const int64_t left = end - system_clock().monotonic_ms();
    pollfd wait{fd, POLLIN, 0};
    const int n = ::poll(&wait, 1, left > 0 ? static_cast<int>(left) : 0);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) throw Error(Code::timeout, "the host probe did not answer");
    const ssize_t got = ::read(fd, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw errno_error(Code::io, errno, "host probe");
    if (got == 0) return text;
    text.append(buffer, static_cast<size_t>(got));
    if (text.size() > kMaxReportBytes) throw Error(Code::internal, "the host probe answered too much");
  }
}

void append_member(std::string& out, std::string_view name, std::string_view text) {
  model::json_append_string(out, name);
  out += ':';
  model::json_append_string(out, text);
}

}  // namespace

std::string host_report_json() {
  Fd read_end, write_end;
  if (const int error = make_pipe(read_end, write_end)) throw errno_error(Code::limit, -error, "host probe");
  AgentProcess probe = AgentProcess::start("probe", write_end.get());
  write_end.reset();
  const std::string report = read_report(read_end.get());
  ByteReader reader(report);
  const uint32_t count = reader.count(kMinRowBytes);
  std::string out = "{\"rows\":[";
  for (uint32_t i = 0; i < count && reader.ok(); ++i) {
    const std::string_view name = reader.bytes(), meaning = reader.bytes();
    const int32_t error = reader.i32();
    const int64_t value = reader.i64();
    const std::string_view detail = reader.bytes();
    if (i > 0) out += ',';
    out += '{';
    append_member(out, "name", name);
    out += error == 0 ? ",\"ok\":true" : ",\"ok\":false";
    if (error != 0) {
      out += ",\"errno\":" + std::to_string(error) + ',';
      append_member(out, "error", errno_text(error));
    }
    if (value >= 0) out += ",\"value\":" + std::to_string(value);
    if (!detail.empty()) {
      out += ',';
      append_member(out, "detail", detail);
    }
    out += ',';
    append_member(out, "meaning", meaning);
    out += '}';
  }
  if (!reader.done() || count == 0) throw Error(Code::unavailable, "the host probe ended early");
  return out + "]}";
}

}  // namespace svm::providers::native
