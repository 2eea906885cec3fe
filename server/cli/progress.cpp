#include "progress.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>

#include "output.hpp"
#include "printable.hpp"
#include "units.hpp"

namespace cli {
namespace {

constexpr std::chrono::milliseconds kInterval{100};
constexpr const char* kClear = "\r\x1b[K";
constexpr size_t kLeastName = 8;  // characters

size_t columns_of_terminal() {
  winsize window{};
  return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 0 ? window.ws_col : 80;
}

}  // namespace

std::string progress_line(const std::string& name, uint64_t bytes, uint64_t total, std::chrono::milliseconds time, size_t columns) {
  std::string numbers = "  " + format_bytes(bytes);
  if (total > 0) numbers += "  " + std::to_string(static_cast<unsigned>(std::min(1.0, static_cast<double>(bytes) / static_cast<double>(total)) * 100)) + '%';
  if (time.count() > 0) numbers += "  " + format_bytes(static_cast<uint64_t>(static_cast<double>(bytes) * 1000 / static_cast<double>(time.count()))) + "/s";
  std::string shown = printable(name);
  const size_t room = columns > numbers.size() + kLeastName ? columns - numbers.size() - 1 : kLeastName;
  if (characters(shown) > room) {
    size_t end = 0;
    for (size_t n = 0; end < shown.size() && (n < room - 1 || (shown[end] & '\xc0') == '\x80'); ++end) n += (shown[end] & '\xc0') != '\x80';
    shown = shown.substr(0, end) + "…";
  }
  return shown + numbers;
}

Progress::Progress(bool shown, std::string name, uint64_t total) : shown_(shown), name_(std::move(name)), total_(total) {}

Progress::~Progress() {
  if (on_line_) (void)pass_on(true, kClear);
}

void Progress::add(uint64_t bytes) {
  bytes_ += bytes;
  if (!shown_) return;
  const Clock::time_point now = Clock::now();
  if (now - last_ >= kInterval) show(now);
}

void Progress::show(Clock::time_point now) {
  last_ = now;
  on_line_ = true;
  (void)pass_on(true, kClear + progress_line(name_, bytes_, total_, std::chrono::duration_cast<std::chrono::milliseconds>(now - start_), columns_of_terminal()));
}

}  // namespace cli
