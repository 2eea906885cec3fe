#include "request_log.hpp"

#include <poll.h>
#include <stacyvm/stacyvm.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <new>

namespace serve {
namespace {

constexpr size_t kMaxLine = 4'096;  // bytes: what a pipe that takes anything takes, in one piece (PIPE_BUF, pipe(7))
constexpr size_t kMaxPath = 512;    // bytes, of the path; longer ones are cut

/// As one word.
std::string word(std::string_view text) {
  if (text.empty()) return "-";
  std::string out;
  for (const char c : text.substr(0, kMaxPath)) {
    char escaped[8];
    if (c > ' ' && c <= '~') {
      out += c;
    } else {
      std::snprintf(escaped, sizeof escaped, "\\x%02x", static_cast<unsigned char>(c));
      out += escaped;
    }
  }
  return text.size() > kMaxPath ? out + "..." : out;
}

}  // namespace

std::string outcome_line(const http::Outcome& outcome) {
  char took[32];
  std::snprintf(took, sizeof took, "%.3fms", static_cast<double>(outcome.took.count()) / 1'000);
  return word(outcome.method) + ' ' + word(outcome.path) + ' ' + std::to_string(outcome.status) + ' ' + took + ' ' + word(outcome.client_address) + ' ' +
         word(outcome.request_id);
}

void RequestLog::write(uint32_t level, std::string_view text) const noexcept {
  // Nobody waits for whoever reads the log, least of all the thread that accepts connections: a line that has no room is lost.
  const std::lock_guard lock(mutex_);
  pollfd room{fd_, POLLOUT, 0};
  if (::poll(&room, 1, 0) != 1 || !(room.revents & POLLOUT)) return;
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  tm utc{};
  ::gmtime_r(&now.tv_sec, &utc);
  char line[kMaxLine];
  const int n = std::snprintf(line, sizeof line - 1, "%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ %s %.*s", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday, utc.tm_hour,
                              utc.tm_min, utc.tm_sec, now.tv_nsec / 1'000'000, level == STACYVM_LOG_ERROR ? "error" : level == STACYVM_LOG_WARN ? "warn" : "debug",
                              static_cast<int>(text.size()), text.data());
  if (n < 0) return;
  size_t size = std::min(static_cast<size_t>(n), sizeof line - 2);
  line[size++] = '\n';
  // A log that cannot be written has nowhere to say so.
  [[maybe_unused]] const ssize_t written = ::write(fd_, line, size);
}

void RequestLog::served(const http::Outcome& outcome) const noexcept {
  const uint32_t level = outcome.status >= 500 ? STACYVM_LOG_WARN : STACYVM_LOG_DEBUG;
  if (level > level_) return;
  try {
    write(level, outcome_line(outcome));
  } catch (const std::bad_alloc&) {
  }
}

void RequestLog::failed(const std::string& request_id, std::string_view why) const noexcept {
  try {
    std::string text = "request " + word(request_id) + ": ";
    for (const char c : why.substr(0, kMaxPath)) text += c >= ' ' && c <= '~' ? c : '?';
    write(STACYVM_LOG_ERROR, text);
  } catch (const std::bad_alloc&) {
  }
}

}  // namespace serve
