// The little JSON that the server itself reads: frames, and the one member that says in which form an answer is wanted.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace serve {

/// Whether a JSON object has the member `stream` with the value true. Everything else about the text is the library's to judge.
bool asks_for_stream(std::string_view json);

/// The members of a frame: texts, and numbers and booleans as they are written; members that are objects, arrays or null are left out. Nothing for what is
/// no JSON object.
std::optional<std::map<std::string, std::string>> frame_members(std::string_view json);

}  // namespace serve
