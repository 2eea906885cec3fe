#include "model/json.hpp"

#include <algorithm>
#include <cstdint>

#include <rapidjson/error/en.h>
#include <rapidjson/memorystream.h>
#include <rapidjson/reader.h>

#include "core/error.hpp"
#include "model/limits.hpp"
#include "model/utf8.hpp"

namespace svm::model {
namespace {

/// Receives RapidJSON's events and builds the tree. Returning false stops the parser; `why` then says why.
class Builder {
 public:
  using Ch = char;

  bool Null() { return add(Json::Type::null) != nullptr; }
  bool Bool(bool value) {
    Json* json = add(Json::Type::boolean);
    if (json) json->boolean = value;
    return json != nullptr;
  }
  bool RawNumber(const char* text, rapidjson::SizeType size, bool) { return put(Json::Type::number, {text, size}); }
  bool String(const char* text, rapidjson::SizeType size, bool) {
    // The body was checked; only an escape such as \ud800 can still have made something that is not UTF-8.
    if (!is_utf8({text, size})) return stop("has a lone surrogate");
    return put(Json::Type::string, {text, size});
  }
  bool Key(const char* text, rapidjson::SizeType size, bool) {
    if (!is_utf8({text, size})) return stop("has a lone surrogate");
    open_.back()->names.emplace_back(text, size);
    return true;
  }
  bool StartObject() { return open(Json::Type::object); }
  bool EndObject(rapidjson::SizeType) {
    const auto& names = open_.back()->names;
    std::vector<std::string_view> sorted(names.begin(), names.end());
    std::sort(sorted.begin(), sorted.end());
    if (std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end()) return stop("has a member twice");
    open_.pop_back();
    return true;
  }
  bool StartArray() { return open(Json::Type::array); }
  bool EndArray(rapidjson::SizeType) {
    open_.pop_back();
    return true;
  }
  // RapidJSON asks for these, and never calls them with kParseNumbersAsStringsFlag.
  bool Int(int) { return false; }
  bool Uint(unsigned) { return false; }
  bool Int64(int64_t) { return false; }
  bool Uint64(uint64_t) { return false; }
  bool Double(double) { return false; }

  Json root;
  const char* why = nullptr;
  long long limit = -1;

 private:
  bool stop(const char* reason, long long bound = -1) {
    why = reason;
    limit = bound;
    return false;
  }
  Json* add(Json::Type type) {
    if (++values_ > kMaxJsonValues) {
      stop("has too many values", kMaxJsonValues);
      return nullptr;
    }
    // A parent's vector may move its items when it grows, but only the last of them is ever open.
    Json* json = &root;
    if (!open_.empty()) json = &open_.back()->items.emplace_back();
    json->type = type;
    return json;
  }
  bool put(Json::Type type, std::string_view text) {
    Json* json = add(type);
    if (json) json->text = text;
    return json != nullptr;
  }
  bool open(Json::Type type) {
    if (open_.size() >= kMaxJsonDepth) return stop("is nested too deeply", kMaxJsonDepth);
    Json* json = add(type);
    if (json) open_.push_back(json);
    return json != nullptr;
  }

  std::vector<Json*> open_;
  size_t values_ = 0;
};

[[noreturn]] void refuse(std::string_view field, std::string_view why, long long limit = -1) {
  Error error(Code::invalid, std::string(field) + ": " + std::string(why));
  if (limit < 0) throw std::move(error).with("field", std::string(field));
  throw std::move(error).with("field", std::string(field)).with("limit", limit);
}

}  // namespace

Json json_parse(std::string_view text, std::string_view field, size_t most) {
  if (text.size() > most) refuse(field, "is longer than " + std::to_string(most) + " bytes", static_cast<long long>(most));
  if (!is_utf8(text)) refuse(field, "is not UTF-8");
  // RapidJSON takes a NUL for the end, and would not see what follows it.
  if (text.find('\0') != text.npos) refuse(field, "is not valid JSON: it has a NUL byte");
  Builder builder;
  rapidjson::Reader reader;
  rapidjson::MemoryStream stream(text.data(), text.size());
  reader.Parse<rapidjson::kParseNumbersAsStringsFlag>(stream, builder);
  if (builder.why) refuse(field, builder.why, builder.limit);
  if (reader.HasParseError()) refuse(field, "is not valid JSON at byte " + std::to_string(reader.GetErrorOffset()));
  return std::move(builder.root);
}

void json_append_string(std::string& out, std::string_view text) {
  constexpr char kHex[] = "0123456789abcdef";
  const auto plain = [](char c) { return static_cast<uint8_t>(c) >= 0x20 && static_cast<uint8_t>(c) < 0x80 && c != '"' && c != '\\'; };
  out += '"';
  while (!text.empty()) {
    size_t run = 0;
    while (run < text.size() && plain(text[run])) ++run;
    out += text.substr(0, run);
    text.remove_prefix(run);
    if (text.empty()) break;
    const char c = text[0];
    const size_t size = utf8_character(text);
    if (size == 0) {
      out += "\xef\xbf\xbd";
      text.remove_prefix(1);
      continue;
    }
    const std::string_view character = text.substr(0, size);
    text.remove_prefix(size);
    if (size > 1) {
      if (character == "\u2028") out += "\\u2028";
      else if (character == "\u2029") out += "\\u2029";
      else out += character;
      continue;
    }
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      default:
        out += "\\u00";
        out += kHex[static_cast<uint8_t>(c) >> 4];
        out += kHex[static_cast<uint8_t>(c) & 15];
    }
  }
  out += '"';
}

}  // namespace svm::model
