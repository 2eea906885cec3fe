#include "model/fields.hpp"
#include "model/json.hpp"
#include "model/numbers.hpp"

namespace svm::model {
namespace {

/// Appends "name": value members.
class Members {
 public:
  explicit Members(std::string& out) : out_(out) { out_ += '{'; }
  void close() { out_ += '}'; }
  void raw(std::string_view name, std::string_view json) {
    key(name);
    out_ += json;
  }
  void text(std::string_view name, std::string_view value) {
    key(name);
    json_append_string(out_, value);
  }
  void number(std::string_view name, int64_t value) { raw(name, std::to_string(value)); }
  void key(std::string_view name) {
    if (!first_) out_ += ',';
    first_ = false;
    json_append_string(out_, name);
    out_ += ':';
  }

 private:
  std::string& out_;
  bool first_ = true;
};

// A JSON string has no more characters than its bytes, so a bound in bytes is a bound in characters that no valid text is refused by.
void size_bounds(Members& members, int64_t least, int64_t most) {
  if (least > 0) members.number("minLength", 1);
  if (most < INT64_MAX) members.number("maxLength", most);
}

/// Of a list or a map.
void item_schema(const Field& field, std::string& out) {
  const std::string name(item_bytes_name(field));
  if (!name.empty()) out += R"({"anyOf":[)";
  Members text(out);
  text.text("type", "string");
  size_bounds(text, field.least, field.most);
  text.close();
  if (name.empty()) return;
  out += R"(,{"type":"object","description":"Bytes that are not UTF-8.","properties":{")" + name + R"(":{"type":"string","contentEncoding":"base64"}},"required":[")" + name +
         R"("],"maxProperties":1}]})";
}

std::string default_of(const Fields& fields, const Field& field) {
  if (!field.default_json.empty()) return std::string(field.default_json);
  if (field.needed || (field.may_be_absent && field.number(fields.defaults) == field.absent)) return "";
  switch (field.slot) {
    case Slot::boolean: return field.ref<bool>(fields.defaults) ? "true" : "false";
    case Slot::u32:
    case Slot::i32:
    case Slot::i64: {
      const std::string number = number_spell(field.kind, field.number(fields.defaults));
      return is_quoted_number(field.kind) ? '"' + number + '"' : number;
    }
    default: return "";
  }
}

/// `doc`: of the place that the object has in another one.
void append_schema(const Fields& fields, std::string& out, std::string_view doc = {});

// null is as absent, so an optional member may be null.
void type_of(Members& members, const Field& field, std::string_view type, bool answer) {
  if (field.needed || answer)
    members.text("type", type);
  else
    members.raw("type", "[\"" + std::string(type) + "\",\"null\"]");
}

void append_field(const Fields& fields, const Field& field, std::string& out) {
  Members members(out);
  const bool answer = field.always;
  switch (field.kind) {
    case Kind::text:
    case Kind::bytes:
      type_of(members, field, "string", answer);
      size_bounds(members, field.least, field.most);
      if (field.format == Format::absolute) members.text("pattern", field.least > 0 ? "^/" : "^(/|$)");
      break;
    case Kind::word:
    case Kind::state: {
      type_of(members, field, "string", answer);
      std::string words = "[";
      const auto add = [&](std::string_view word) {
        if (words.size() > 1) words += ',';
        json_append_string(words, word);
      };
      for (const std::string_view word : field.words) add(word);
      if (field.kind == Kind::state)
        for (int i = 0; i <= static_cast<int>(State::error); ++i) add(state_name(static_cast<State>(i)));
      if (!answer && !field.needed) words += ",null";
      members.raw("enum", words + ']');
      break;
    }
    case Kind::flag:
    case Kind::ignored: type_of(members, field, "boolean", answer); break;
    case Kind::unsupported: members.raw("enum", "[\"\",null]"); break;
    case Kind::integer:
    case Kind::mebibytes:
    case Kind::cpus:
      type_of(members, field, field.kind == Kind::cpus ? "number" : "integer", answer);
      if (field.zero_default)
        members.raw("anyOf", "[{\"const\":0},{\"minimum\":" + number_spell(field.kind, field.least) + "}]");
      else if (field.least > INT64_MIN)
        members.raw("minimum", number_spell(field.kind, field.least));
      if (field.most < INT64_MAX) members.raw("maximum", number_spell(field.kind, field.most));
      break;
    case Kind::mode:
      type_of(members, field, "string", answer);
      members.text("pattern", "^[0-7]{1,5}$");
      break;
    case Kind::duration_ms:
    case Kind::duration_us:
      type_of(members, field, "string", answer);
      members.text("pattern", "^[-+]?(0|(([0-9]+(\\.[0-9]*)?|\\.[0-9]+)(ns|us|\u00b5s|\u03bcs|ms|s|m|h))+)$");
      break;
    case Kind::time_ms:
    case Kind::time_ns:
      type_of(members, field, "string", answer);
      members.text("format", "date-time");
      break;
    case Kind::map: {
      type_of(members, field, "object", answer);
      members.number("maxProperties", static_cast<int64_t>(field.most_items));
      members.key("propertyNames");
      Members names(out);
      size_bounds(names, 1, static_cast<int64_t>(field.most_key));
      names.close();
      members.key("additionalProperties");
      item_schema(field, out);
      break;
    }
    case Kind::list: {
      type_of(members, field, "array", answer);
      members.number("maxItems", static_cast<int64_t>(field.most_items));
      members.key("items");
      item_schema(field, out);
      break;
    }
    case Kind::object: break;  // its own schema, see append_schema
    case Kind::objects:
      type_of(members, field, "array", answer);
      members.number("maxItems", static_cast<int64_t>(field.most_items));
      members.key("items");
      append_schema(field.objects->fields(), out);
      break;
    case Kind::derived:
      if (field.derived_null)
        members.raw("type", "[\"" + std::string(field.derived_type) + "\",\"null\"]");
      else
        members.text("type", field.derived_type);
      break;
  }
  const std::string value = default_of(fields, field);
  if (!value.empty() && !answer) members.raw("default", value);
  members.text("description", field.doc);
  if (field.keep != Keep::whole && !answer) members.raw("writeOnly", "true");
  members.close();
}

std::string twin(const Field& field) { return std::string(field.name) + std::string(kTwinSuffix); }

void append_schema(const Fields& fields, std::string& out, std::string_view doc) {
  if (fields.array) return append_field(fields, fields.list[0], out);
  Members members(out);
  members.text("title", fields.name);
  members.text("type", "object");
  if (!doc.empty()) members.text("description", doc);
  if (fields.strict) members.raw("additionalProperties", "false");
  members.key("properties");
  Members properties(out);
  std::string required, either;
  for (const Field& field : fields.list) {
    properties.key(field.name);
    if (field.kind == Kind::object)
      append_schema(field.objects->fields(), out, field.doc);
    else
      append_field(fields, field, out);
    const bool twinned = field.kind == Kind::bytes;
    if (twinned) {
      properties.key(twin(field));
      Members base64(out);
      base64.raw("type", field.needed || field.always ? "\"string\"" : "[\"string\",\"null\"]");
      base64.text("contentEncoding", "base64");
      base64.text("description", "The same as base64, for what is not UTF-8.");
      base64.close();
    }
    if (!field.needed && !field.always) continue;
    if (twinned) {
      if (!either.empty()) either += ',';
      either += "{\"oneOf\":[{\"required\":[\"" + std::string(field.name) + "\"]},{\"required\":[\"" + twin(field) + "\"]}]}";
    } else {
      if (!required.empty()) required += ',';
      json_append_string(required, field.name);
    }
  }
  properties.close();
  if (!required.empty()) members.raw("required", '[' + required + ']');
  if (!either.empty()) members.raw("allOf", '[' + either + ']');
  members.close();
}

}  // namespace

std::string schema_fields(const Fields& fields) {
  std::string out = "{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",";
  std::string body;
  append_schema(fields, body);
  return out + body.substr(1);
}

}  // namespace svm::model
