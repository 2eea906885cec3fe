#include "core/log.hpp"

#include <unistd.h>

#include <cstdio>
#include <ctime>
#include <string>

namespace svm {

void Log::write(LogLevel level, std::string_view text) const noexcept {
  if (!enabled(level)) return;
  static constexpr const char* kNames[] = {"error", "warn", "info", "debug"};
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  tm utc{};
  ::gmtime_r(&now.tv_sec, &utc);
  char stamp[64];
  const int n = std::snprintf(stamp, sizeof stamp, "%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ %s ", utc.tm_year + 1900,
                              utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec, now.tv_nsec / 1'000'000,
                              kNames[static_cast<uint32_t>(level) & 3]);
  try {
    std::string line(stamp, static_cast<size_t>(n));
    for (const char c : text) {
      const auto byte = static_cast<unsigned char>(c);
      if (byte < 0x20 || byte == 0x7f) {
        char escaped[8];
        std::snprintf(escaped, sizeof escaped, "\\x%02x", byte);
        line += escaped;
      } else {
        line += c;
      }
    }
    line += '\n';
    // A log that cannot be written has nowhere to say so.
    [[maybe_unused]] const ssize_t written = ::write(fd_, line.data(), line.size());
  } catch (...) {
  }
}

}  // namespace svm
