#include "json.hpp"

#include <rapidjson/reader.h>

#include "../text/text.hpp"

namespace serve {
namespace {

constexpr unsigned kFlags = rapidjson::kParseIterativeFlag | rapidjson::kParseNumbersAsStringsFlag | rapidjson::kParseValidateEncodingFlag;

/// Gathers the members of the outermost object that are one word each.
struct Members : rapidjson::BaseReaderHandler<rapidjson::UTF8<>, Members> {
  std::map<std::string, std::string> all;
  std::string key;
  unsigned depth = 0;
  bool object = false, stream = false;

  bool take(std::string value) {
    if (depth == 1 && object) all[key] = std::move(value);
    return depth > 0;
  }
  bool Null() { return depth > 0; }
  bool Bool(bool value) {
    if (depth == 1 && key == "stream") stream = value;
    return take(value ? "true" : "false");
  }
  bool RawNumber(const char* text, rapidjson::SizeType size, bool) { return take({text, size}); }
  // The reader takes "\udc00", half of a character, for one.
  bool String(const char* text, rapidjson::SizeType size, bool) { return text::is_utf8({text, size}) && take({text, size}); }
  bool Key(const char* text, rapidjson::SizeType size, bool) {
    if (!text::is_utf8({text, size})) return false;
    if (depth == 1) key.assign(text, size);
    return true;
  }
  bool StartObject() {
    if (depth++ == 0) object = true;
    return true;
  }
  bool EndObject(rapidjson::SizeType) {
    --depth;
    return true;
  }
  bool StartArray() {
    ++depth;
    return true;
  }
  bool EndArray(rapidjson::SizeType) {
    --depth;
    return true;
  }
};

bool read(std::string_view json, Members& members) {
  rapidjson::MemoryStream stream(json.data(), json.size());
  rapidjson::Reader reader;
  return !reader.Parse<kFlags>(stream, members).IsError() && members.object;
}

}  // namespace

bool asks_for_stream(std::string_view json) {
  if (json.find("\"stream\"") == json.npos && json.find("\\u") == json.npos) return false;
  Members members;
  return read(json, members) && members.stream;
}

std::optional<std::map<std::string, std::string>> frame_members(std::string_view json) {
  Members members;
  if (!read(json, members)) return std::nullopt;
  return std::move(members.all);
}

}  // namespace serve
