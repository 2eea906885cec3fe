// Durations of one thing, and what a list of them says.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bench {

/// Nanoseconds of the monotonic clock.
int64_t now_ns();
void sleep_ms(int64_t ms);

struct Summary {
  size_t count = 0;
  double median = 0, p99 = 0;
};
/// `values` must not be empty. The nearest rank: a value that was measured, not one between two.
Summary summarize(std::vector<double> values);

enum class Unit { microseconds, gigabytes_per_second, per_second, kibibytes, count };
/// What a larger number of it is: better, or worse.
inline bool is_rate(Unit unit) { return unit == Unit::gigabytes_per_second || unit == Unit::per_second; }

/// What is compared with what: one line of the report.
struct Row {
  std::string identity;  // "root", "rootless"
  std::string scenario;  // "spawn", "exec", ...
  std::string regime;    // "tight", "idle", "mounts"
  std::string other;     // the name of what is beside ours; empty: nothing
  double target = 0;     // the highest ratio we want; where nothing is beside ours, the highest value, of a rate the lowest; 0: none
  Unit unit = Unit::microseconds;
  std::vector<double> ours, others;
};

/// Rows and reasons, as lines of text: how a measuring child hands them to the process that prints.
void write_row(int fd, const Row& row);
void write_note(int fd, std::string_view text);
struct Results {
  std::vector<Row> rows;
  std::vector<std::string> notes;
};
/// Reads until end of file; false if a line is not one of the above.
bool read_results(int fd, Results& out);

}  // namespace bench
