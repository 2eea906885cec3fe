#include "providers/native/report.hpp"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <utility>
#include <vector>

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

struct Row {
  std::string_view name, meaning, detail;
  int32_t error = 0;
  int64_t value = -1;  // -1: none
};

/// Runs the probe and hands out its rows, in its order.
template <class Take>
void probe_rows(Take take) {
  Fd read_end, write_end;
  if (const int error = make_pipe(read_end, write_end)) throw errno_error(Code::limit, -error, "host probe");
  AgentProcess probe = AgentProcess::start("probe", write_end.get());
  write_end.reset();
  const std::string report = read_report(read_end.get());
  ByteReader reader(report);
  const uint32_t count = reader.count(kMinRowBytes);
  std::vector<Row> rows(count);
  for (Row& row : rows) {
    row.name = reader.bytes();
    row.meaning = reader.bytes();
    row.error = reader.i32();
    row.value = reader.i64();
    row.detail = reader.bytes();
  }
  if (!reader.done() || count == 0) throw Error(Code::unavailable, "the host probe ended early");
  for (const Row& row : rows) take(row);
}

}  // namespace

std::string host_report_json() {
  std::string out = "{\"rows\":[";
  bool first = true;
  probe_rows([&](const Row& row) {
    if (!std::exchange(first, false)) out += ',';
    out += '{';
    append_member(out, "name", row.name);
    out += row.error == 0 ? ",\"ok\":true" : ",\"ok\":false";
    if (row.error != 0) {
      out += ",\"errno\":" + std::to_string(row.error) + ',';
      append_member(out, "error", errno_text(row.error));
    }
    if (row.value >= 0) out += ",\"value\":" + std::to_string(row.value);
    if (!row.detail.empty()) {
      out += ',';
      append_member(out, "detail", row.detail);
    }
    out += ',';
    append_member(out, "meaning", row.meaning);
    out += '}';
  });
  return out + "]}";
}

std::string host_report_text() {
  constexpr size_t kNameWidth = 28;
  std::string out;
  probe_rows([&](const Row& row) {
    out += row.name;
    out.append(row.name.size() < kNameWidth ? kNameWidth - row.name.size() : 1, ' ');
    out += row.error == 0 ? "yes  " : "no   ";
    out += row.meaning;
    std::string note;
    for (const std::string& part : {row.value >= 0 ? std::to_string(row.value) : std::string(), std::string(row.detail),
                                    row.error != 0 ? errno_text(row.error) : std::string()}) {
      if (part.empty()) continue;
      if (!note.empty()) note += ", ";
      note += part;
    }
    if (!note.empty()) out += " (" + note + ')';
    out += '\n';
  });
  return out;
}

}  // namespace svm::providers::native
