// How far a copy is, on a terminal.
#pragma once
#include <chrono>
#include <cstdint>
#include <string>

namespace cli {

class Progress {
 public:
  /// `shown` false: nothing is ever written. `total`: 0 where it is not known.
  Progress(bool shown, std::string name, uint64_t total = 0);
  ~Progress();  ///< The line is gone again.
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void add(uint64_t bytes);
  void add_file() { ++files_; }
  uint64_t bytes() const noexcept { return bytes_; }
  uint64_t files() const noexcept { return files_; }

 private:
  using Clock = std::chrono::steady_clock;
  void show(Clock::time_point now);
  const bool shown_;
  const std::string name_;
  const uint64_t total_;
  const Clock::time_point start_ = Clock::now();
  Clock::time_point last_{};
  uint64_t bytes_ = 0, files_ = 0;
  bool on_line_ = false;
};

/// "data.bin  1.5 MiB  37%  12.0 MiB/s", at most `columns` wide. Pure.
std::string progress_line(const std::string& name, uint64_t bytes, uint64_t total, std::chrono::milliseconds time, size_t columns);

}  // namespace cli
