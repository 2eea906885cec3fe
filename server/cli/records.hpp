// The library's answers as a table needs them. Pure.
#pragma once
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace cli {

/// The members of a JSON object: texts, numbers and booleans as they are written, objects and arrays as JSON. null is left out.
using Record = std::map<std::string, std::string>;

/// A member, or "".
std::string member(const Record& record, const char* name);

/// One object, or those of an array. Throws std::runtime_error for what is no such JSON, or has more than 64 levels: it may come from a server.
std::vector<Record> records_of(std::string_view json);

}  // namespace cli
