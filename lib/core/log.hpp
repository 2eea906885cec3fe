// Where diagnostics go: a descriptor the application chose, or nowhere. Never stdout or stderr by itself.
#pragma once
#include <cstdint>
#include <string_view>

namespace svm {

enum class LogLevel : uint32_t { error = 0, warn = 1, info = 2, debug = 3 };

/// One line per record, written whole with one write(2): `2026-01-02T03:04:05.678Z info text`. Thread-safe.
/// Control bytes in the text are escaped. A full or broken descriptor loses the line, never blocks on purpose or fails.
class Log {
 public:
  Log() = default;
  Log(int fd, LogLevel level) : fd_(fd), level_(level) {}
  bool enabled(LogLevel level) const noexcept { return fd_ >= 0 && level <= level_; }
  void write(LogLevel level, std::string_view text) const noexcept;

 private:
  int fd_ = -1;  // borrowed from the application
  LogLevel level_ = LogLevel::info;
};

}  // namespace svm
