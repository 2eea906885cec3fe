#include "records.hpp"

#include <rapidjson/document.h>
#include <rapidjson/reader.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include <stdexcept>

namespace cli {
namespace {

constexpr unsigned kMaxDepth = 64;
constexpr unsigned kFlags = rapidjson::kParseIterativeFlag | rapidjson::kParseNumbersAsStringsFlag;

/// Before a document is made of it: how deep it goes decides how deep its reader and its end do.
struct Depth : rapidjson::BaseReaderHandler<rapidjson::UTF8<>, Depth> {
  unsigned depth = 0;
  bool StartObject() { return ++depth <= kMaxDepth; }
  bool EndObject(rapidjson::SizeType) { return depth-- > 0; }
  bool StartArray() { return ++depth <= kMaxDepth; }
  bool EndArray(rapidjson::SizeType) { return depth-- > 0; }
};

rapidjson::Document parse(std::string_view json) {
  rapidjson::MemoryStream stream(json.data(), json.size());
  rapidjson::Reader reader;
  Depth depth;
  rapidjson::Document document;
  if (!reader.Parse<kFlags>(stream, depth).IsError()) document.Parse<rapidjson::kParseIterativeFlag>(json.data(), json.size());
  if (document.HasParseError() || !(document.IsObject() || document.IsArray())) throw std::runtime_error("an answer is no JSON object or array");
  return document;
}

std::string text_of(const rapidjson::Value& value) {
  if (value.IsString()) return {value.GetString(), value.GetStringLength()};
  rapidjson::StringBuffer out;
  rapidjson::Writer<rapidjson::StringBuffer> writer(out);
  value.Accept(writer);
  return {out.GetString(), out.GetSize()};
}

Record record_of(const rapidjson::Value& object) {
  if (!object.IsObject()) throw std::runtime_error("an answer has something else than objects");
  Record record;
  for (const auto& each : object.GetObject())
    if (!each.value.IsNull()) record[text_of(each.name)] = text_of(each.value);
  return record;
}

}  // namespace

std::string member(const Record& record, const char* name) {
  const auto found = record.find(name);
  return found == record.end() ? std::string() : found->second;
}

std::vector<Record> records_of(std::string_view json) {
  const rapidjson::Document document = parse(json);
  std::vector<Record> records;
  if (document.IsObject()) {
    records.push_back(record_of(document));
  } else {
    for (const auto& each : document.GetArray()) records.push_back(record_of(each));
  }
  return records;
}

}  // namespace cli
