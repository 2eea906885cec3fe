#include <algorithm>

#include "core/error.hpp"
#include "model/answers.hpp"
#include "model/base64.hpp"
#include "model/fields.hpp"
#include "model/json.hpp"
#include "model/numbers.hpp"
#include "model/utf8.hpp"

namespace svm::model {
namespace {

/// One object being filled: which of its fields were seen, and how errors name them.
struct Target {
  const Fields& fields;
  void* object;
  std::string prefix;  // "mounts[2]."
  bool answer = false; // it comes from a server: whatever else it says does no harm
  uint64_t seen = 0;   // bit i: fields.list[i]

  std::string path(std::string_view name) const { return prefix + std::string(name); }
};

struct Found {
  const Field* field = nullptr;  // nullptr: unknown
  bool twin = false;
};

/// A name that nobody knows may be anything.
std::string printable(std::string_view name) {
  std::string out(utf8_prefix(name, kAuditItemBytes));
  for (char& c : out)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  return out.size() < name.size() ? out + "..." : out;
}

Found find(const Target& target, std::string_view name) {
  for (const Field& field : target.fields.list) {
    if (field.name == name) return {&field, false};
    if (field.kind == Kind::bytes && name.size() == field.name.size() + kTwinSuffix.size() && name.starts_with(field.name) &&
        name.ends_with(kTwinSuffix))
      return {&field, true};
  }
  if (target.answer) return {};
  if (std::find(std::begin(kAuthorityNames), std::end(kAuthorityNames), name) != std::end(kAuthorityNames))
    refuse_field(target.path(name), "comes from authentication alone and cannot be in a request");
  if (target.fields.strict) refuse_field(target.path(printable(name)), "is not known here");
  return {};
}

void mark(Target& target, const Field& field) {
  const uint64_t bit = 1ull << (&field - target.fields.list.data());
  if (target.seen & bit) refuse_field(target.path(field.name), "is given twice");
  target.seen |= bit;
}

void set_number(Target& target, const Field& field, std::string_view text) {
  int64_t value = 0;
  switch (number_parse(field.kind, text, value)) {
    case NumberStatus::malformed: refuse_field(target.path(field.name), "must be " + std::string(number_expected(field.kind)));
    case NumberStatus::too_large: refuse_field(target.path(field.name), "is out of range", number_spell(field.kind, field.most));
    case NumberStatus::ok: break;
  }
  // Validation knows the bounds; here only what the slot could not hold, and would silently change, is refused.
  const bool fits = field.slot == Slot::u32   ? value >= 0 && value <= UINT32_MAX
                    : field.slot == Slot::u64 ? value >= 0
                    : field.slot == Slot::i32 ? value >= INT32_MIN && value <= INT32_MAX
                                              : true;
  if (!fits) {
    const bool below = value < field.least;
    refuse_field(target.path(field.name), "must be from " + number_spell(field.kind, field.least) + " to " + number_spell(field.kind, field.most),
                 number_spell(field.kind, below ? field.least : field.most));
  }
  field.set_number(target.object, value);
}

// The kinds that are one string, from wherever it came.
void set_text(Target& target, const Field& field, bool twin, std::string&& text) {
  switch (field.kind) {
    case Kind::bytes:
      if (twin) {
        std::string bytes;
        if (!base64_decode(text, bytes)) refuse_field(target.path(std::string(field.name) + std::string(kTwinSuffix)), "is not base64");
        field.ref<std::string>(target.object) = std::move(bytes);
        return;
      }
      [[fallthrough]];
    case Kind::text:
    case Kind::word: field.ref<std::string>(target.object) = std::move(text); return;
    case Kind::state:
      if (!state_from_name(text, field.ref<State>(target.object))) refuse_field(target.path(field.name), "is not a state");
      return;
    case Kind::unsupported:
      if (!text.empty())
        throw Error(Code::unsupported, target.path(field.name) + ": is not supported here").with("field", target.path(field.name));
      return;
    default:
      // Clients of 0.15 write "" for what they leave to the server, as they do with 0 and null.
      if (text.empty() && !field.needed && !target.answer) return;
      return set_number(target, field, text);
  }
}

void read_object(Target& target, Json&& json);

/// Of a list or a map. False: it is no string, in neither spelling.
bool read_item(const Target& target, const Field& field, Json&& json, std::string& out) {
  const std::string_view name = item_bytes_name(field);
  if (!name.empty() && json.type == Json::Type::object && json.names.size() == 1 && json.names[0] == name && json.items[0].type == Json::Type::string) {
    if (!base64_decode(json.items[0].text, out)) refuse_field(target.path(field.name), "has an item that is not base64");
    return true;
  }
  if (json.type != Json::Type::string) return false;
  out = std::move(json.text);
  return true;
}

void read_value(Target& target, const Field& field, bool twin, Json&& json) {
  const auto expect = [&](Json::Type type, std::string_view what) {
    if (json.type != type) refuse_field(target.path(field.name), "must be " + std::string(what));
  };
  switch (field.kind) {
    case Kind::derived: return;
    case Kind::flag:
    case Kind::ignored:
      expect(Json::Type::boolean, "true or false");
      if (field.kind == Kind::flag) field.ref<bool>(target.object) = json.boolean;
      return;
    case Kind::integer:
    case Kind::mebibytes:
    case Kind::cpus:
      expect(Json::Type::number, number_expected(field.kind));
      return set_number(target, field, json.text);
    case Kind::map: {
      expect(Json::Type::object, "an object of strings");
      auto& map = field.ref<StringMap>(target.object);
      for (size_t i = 0; i < json.items.size(); ++i) {
        std::string bytes;
        if (!read_item(target, field, std::move(json.items[i]), bytes)) refuse_field(target.path(field.name), "must be an object of strings");
        map.emplace(std::move(json.names[i]), std::move(bytes));
      }
      return;
    }
    case Kind::list: {
      expect(Json::Type::array, "an array of strings");
      auto& list = field.ref<std::vector<std::string>>(target.object);
      list.reserve(json.items.size());
      for (Json& item : json.items) {
        std::string bytes;
        if (!read_item(target, field, std::move(item), bytes)) refuse_field(target.path(field.name), "must be an array of strings");
        list.push_back(std::move(bytes));
      }
      return;
    }
    case Kind::object: {
      expect(Json::Type::object, "an object");
      Target inner{field.objects->fields(), field.locate(target.object), target.path(field.name) + '.', target.answer};
      return read_object(inner, std::move(json));
    }
    case Kind::objects: {
      expect(Json::Type::array, "an array of objects");
      void* vector = field.locate(target.object);
      for (size_t i = 0; i < json.items.size(); ++i) {
        Target item{field.objects->fields(), field.objects->append(vector), target.path(field.name) + '[' + std::to_string(i) + "].", target.answer};
        if (json.items[i].type != Json::Type::object) refuse_field(target.path(field.name), "must be an array of objects");
        read_object(item, std::move(json.items[i]));
      }
      return;
    }
    default:
      expect(Json::Type::string, is_number(field.kind) ? number_expected(field.kind) : "a string");
      return set_text(target, field, twin, std::move(json.text));
  }
}

void require_all(const Target& target) {
  for (size_t i = 0; i < target.fields.list.size(); ++i)
    if (target.fields.list[i].needed && !(target.seen & 1ull << i)) refuse_field(target.path(target.fields.list[i].name), "is missing");
}

// Members only; whether all that are needed came is asked when every source has been read.
void read_members(Target& target, Json&& json) {
  for (size_t i = 0; i < json.items.size(); ++i) {
    const Found found = find(target, json.names[i]);
    if (!found.field || json.items[i].type == Json::Type::null) continue;
    mark(target, *found.field);
    read_value(target, *found.field, found.twin, std::move(json.items[i]));
  }
}

void read_object(Target& target, Json&& json) {
  read_members(target, std::move(json));
  require_all(target);
}

void read_pair(Target& target, std::string_view name, std::string_view value) {
  const auto [field, twin] = find(target, name);
  if (!field) return;
  mark(target, *field);
  switch (field->kind) {
    case Kind::derived: return;
    case Kind::map:
    case Kind::list:
    case Kind::object:
    case Kind::objects: refuse_field(target.path(field->name), "belongs in the body");
    case Kind::flag:
    case Kind::ignored:
      if (value != "true" && value != "false") refuse_field(target.path(field->name), "must be true or false");
      if (field->kind == Kind::flag) field->ref<bool>(target.object) = value == "true";
      return;
    case Kind::integer:
    case Kind::mebibytes:
    case Kind::cpus: return set_number(target, *field, value);
    default:
      // A percent-encoded path may be any bytes; everything else is text.
      if (field->kind != Kind::bytes && !is_utf8(value)) refuse_field(target.path(field->name), "is not UTF-8");
      return set_text(target, *field, twin, std::string(value));
  }
}

}  // namespace

void decode_fields(const Fields& fields, const Pairs& pairs, std::string_view body, void* object) {
  Target target{fields, object, ""};
  if (fields.array) {
    Json json = json_parse(body, "body");
    read_value(target, fields.list[0], false, std::move(json));
    return validate_fields(fields, object);
  }
  std::vector<std::string_view> names;
  for (const auto& [name, value] : pairs) {
    if (std::find(names.begin(), names.end(), name) != names.end()) refuse_field("parameter", "one is given twice");
    names.push_back(name);
    read_pair(target, name, value);
  }
  if (!body.empty()) {
    Json json = json_parse(body, "body");
    if (json.type != Json::Type::object) refuse_field("body", "must be an object");
    read_members(target, std::move(json));
  }
  require_all(target);
  validate_fields(fields, object);
}

void decode_answer_fields(const Fields& fields, std::string_view json, void* object) try {
  Target target{fields, object, "", true};
  Json parsed = json_parse(json, "answer", kMaxAnswerBytes);
  if (fields.array) return read_value(target, fields.list[0], false, std::move(parsed));
  if (parsed.type != Json::Type::object) refuse_field("answer", "must be an object");
  read_object(target, std::move(parsed));
} catch (const Error& error) {
  throw Error(Code::io, "the server's answer cannot be understood: " + error.message());
}

}  // namespace svm::model
