#include "report.hpp"

#include <stacyvm/stacyvm.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cstdarg>
#include <cstdio>

namespace bench {
namespace {

[[gnu::format(printf, 1, 2)]] std::string format(const char* pattern, ...) {
  char text[512];
  std::va_list values;
  va_start(values, pattern);
  std::vsnprintf(text, sizeof text, pattern, values);
  va_end(values);
  return text;
}

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) >= ' ') out += c;
  }
  return out + '"';
}

std::string duration(double us) { return us < 10'000 ? format("%.0f us", us) : format("%.1f ms", us / 1000); }
std::string value(const Row& row, double number) {
  switch (row.unit) {
    case Unit::microseconds: return duration(number);
    case Unit::gigabytes_per_second: return format("%.2f GB/s", number);
    case Unit::per_second: return format("%.0f /s", number);
    case Unit::kibibytes: return format("%.0f KiB", number);
    case Unit::count: return format("%.2f", number);
  }
  return {};
}
const char* json_unit(Unit unit) {
  constexpr const char* kNames[] = {"us", "gb_per_s", "per_s", "kib", "count"};
  return kNames[static_cast<int>(unit)];
}

/// Of rates the slow end is of interest, which is the first percentile; for a handful of values it is the lowest.
Summary summary_of(const Row& row) {
  if (!is_rate(row.unit)) return summarize(row.ours);
  std::vector<double> negative;
  for (const double number : row.ours) negative.push_back(-number);
  const Summary summary = summarize(negative);
  return {summary.count, -summary.median, -summary.p99};
}

bool within(const Row& row, double measured) { return is_rate(row.unit) ? measured >= row.target : measured <= row.target; }

std::string system_name() {
  utsname name{};
  return ::uname(&name) == 0 ? std::string(name.sysname) + " " + name.release + " " + name.machine : "unknown";
}
long processors() { return ::sysconf(_SC_NPROCESSORS_ONLN); }

std::string json_summary(const Row& row, const Summary& summary) {
  const char* unit = json_unit(row.unit);
  return format("{\"count\": %zu, \"median_%s\": %.3f, \"p99_%s\": %.3f}", summary.count, unit, summary.median, unit, summary.p99);
}

}  // namespace

std::string as_table(const Results& results) {
  std::string out = format("libstacyvm %s on %s, %ld processors\n\n", stacyvm_version_string(), system_name().c_str(), processors());
  out += format("%-9s %-14s %-12s %6s  %11s %11s   %-11s %11s %11s   %6s %6s  %s\n", "as", "what", "regime", "n", "median", "p99", "beside",
                "median", "p99", "ratio", "p99", "target");
  for (const Row& row : results.rows) {
    const Summary ours = summary_of(row);
    out += format("%-9s %-14s %-12s %6zu  %11s %11s", row.identity.c_str(), row.scenario.c_str(), row.regime.c_str(), ours.count,
                  value(row, ours.median).c_str(), value(row, ours.p99).c_str());
    double measured = ours.median;
    if (!row.other.empty()) {
      const Summary other = summarize(row.others);
      measured = ours.median / other.median;
      out += format("   %-11s %11s %11s   %6.2f %6.2f", row.other.c_str(), value(row, other.median).c_str(), value(row, other.p99).c_str(),
                    measured, ours.p99 / other.p99);
    } else if (row.target > 0) {
      out += format("   %-11s %11s %11s   %6s %6s", "", "", "", "", "");
    }
    // A target that is a ratio says nothing where there is nothing beside ours.
    if (row.target > 0 && (row.unit != Unit::microseconds || !row.other.empty()))
      out += format("  %s %.1f %s", is_rate(row.unit) ? ">=" : "<=", row.target, within(row, measured) ? "met" : "MISSED");
    out += '\n';
  }
  for (const std::string& note : results.notes) out += "\nnote: " + note;
  return results.notes.empty() ? out : out + '\n';
}

std::string as_json(const Results& results) {
  std::string out = "{\n  \"version\": " + quoted(stacyvm_version_string()) + ",\n  \"system\": " + quoted(system_name()) +
                    format(",\n  \"processors\": %ld,\n  \"results\": [", processors());
  const char* separator = "\n";
  for (const Row& row : results.rows) {
    const Summary ours = summary_of(row);
    out += separator + ("    {\"identity\": " + quoted(row.identity)) + ", \"scenario\": " + quoted(row.scenario) +
           ", \"regime\": " + quoted(row.regime) + ", \"ours\": " + json_summary(row, ours);
    if (!row.other.empty()) {
      const Summary other = summarize(row.others);
      out += ", \"beside\": " + quoted(row.other) + ", \"other\": " + json_summary(row, other) +
             format(", \"ratio\": {\"median\": %.4f, \"p99\": %.4f}", ours.median / other.median, ours.p99 / other.p99);
    }
    if (row.target > 0) out += format(", \"target\": %.2f", row.target);
    out += '}';
    separator = ",\n";
  }
  out += "\n  ],\n  \"notes\": [";
  separator = "";
  for (const std::string& note : results.notes) out += separator + quoted(note), separator = ", ";
  return out + "]\n}\n";
}

}  // namespace bench
