// The results as a table for people and as JSON for programs.
#pragma once
#include <string>

#include "samples.hpp"

namespace bench {

std::string as_table(const Results& results);
std::string as_json(const Results& results);

}  // namespace bench
