#include "samples.hpp"

#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <sstream>
#include <stdexcept>

namespace bench {
namespace {

void write_line(int fd, std::string line) {
  line += '\n';
  for (std::string_view rest = line; !rest.empty();) {
    const ssize_t n = ::write(fd, rest.data(), rest.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw std::runtime_error("cannot hand over the results");
    rest.remove_prefix(static_cast<size_t>(n));
  }
}

std::string joined(const std::vector<double>& values) {
  std::string out;
  char text[32];
  for (const double value : values) {
    std::snprintf(text, sizeof text, " %.6g", value);
    out += text;
  }
  return out;
}

std::vector<double> split_numbers(const std::string& text) {
  std::istringstream in(text);
  std::vector<double> values;
  for (double value; in >> value;) values.push_back(value);
  return values;
}

bool read_line(const std::string& line, Results& out) {
  std::istringstream in(line);
  std::vector<std::string> fields;
  for (std::string field; std::getline(in, field, '\t');) fields.push_back(field);
  if (fields.size() == 2 && fields[0] == "note") {
    out.notes.push_back(fields[1]);
    return true;
  }
  if (fields.size() != 9 || fields[0] != "row") return false;
  Row row;
  row.identity = fields[1], row.scenario = fields[2], row.regime = fields[3];
  if (fields[4] != "-") row.other = fields[4];
  row.target = std::stod(fields[5]);
  row.unit = static_cast<Unit>(std::stoi(fields[6]));
  row.ours = split_numbers(fields[7]), row.others = split_numbers(fields[8]);
  out.rows.push_back(std::move(row));
  return true;
}

}  // namespace

int64_t now_ns() {
  timespec time{};
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1'000'000'000 + time.tv_nsec;
}

void sleep_ms(int64_t ms) {
  timespec left{ms / 1000, ms % 1000 * 1'000'000};
  while (::nanosleep(&left, &left) < 0 && errno == EINTR) {
  }
}

Summary summarize(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const auto rank = [&](double quantile) {
    const auto at = static_cast<size_t>(std::ceil(quantile * static_cast<double>(values.size())));
    return values.at(std::max<size_t>(at, 1) - 1);
  };
  return {values.size(), rank(0.5), rank(0.99)};
}

void write_row(int fd, const Row& row) {
  write_line(fd, "row\t" + row.identity + '\t' + row.scenario + '\t' + row.regime + '\t' + (row.other.empty() ? "-" : row.other) + '\t' +
                     std::to_string(row.target) + '\t' + std::to_string(static_cast<int>(row.unit)) + "\t " + joined(row.ours) + "\t " + joined(row.others));
}

void write_note(int fd, std::string_view text) {
  std::string line(text);
  std::replace_if(line.begin(), line.end(), [](char c) { return c == '\n' || c == '\t'; }, ' ');
  write_line(fd, "note\t" + line);
}

bool read_results(int fd, Results& out) {
  std::string bytes;
  char buffer[65536];
  for (;;) {
    const ssize_t n = ::read(fd, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return false;
    if (n == 0) break;
    bytes.append(buffer, static_cast<size_t>(n));
  }
  std::istringstream in(bytes);
  for (std::string line; std::getline(in, line);)
    if (!read_line(line, out)) return false;
  return true;
}

}  // namespace bench
