// What stacyvm run and exec say with --json and --timings.
#pragma once
#include <stacyvm/stacyvm.hpp>

#include <optional>
#include <string>

#include "pump.hpp"

namespace cli {

struct RunReport {
  int status = 0;  ///< What we exit with.
  std::optional<stacyvm::ExecResult> result;
  std::optional<stacyvm::Error> error;  ///< What the library failed with.
  Collected output;
  std::string exec_id;  ///< Empty when no command was started.
  std::string sandbox;  ///< sandbox.info; empty when there was none.
  std::optional<double> spawn_ms;  ///< Nothing: no sandbox was made for it.
  double exec_ms = 0, total_ms = 0;
};

/// One object and a newline.
std::string to_json(const RunReport& report);
/// One line for people.
std::string to_timings(const RunReport& report);

}  // namespace cli
