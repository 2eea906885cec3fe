#include "model/base64.hpp"
#include "model/fields.hpp"
#include "model/json.hpp"
#include "model/numbers.hpp"
#include "model/utf8.hpp"

namespace svm::model {
namespace {

/// Appends members to an object or items to an array, with commas between them.
class Writer {
 public:
  Writer(std::string& out, bool redact) : out_(out), redact_(redact) {}

  void object(const Fields& fields, const void* object) {
    if (fields.array) return value(fields.list[0], object);
    out_ += '{';
    bool first = true;
    for (const Field& field : fields.list) {
      if (!field.locate && !field.derive) continue;
      if (!field.always && is_default(field, object, fields.defaults)) continue;
      if (!first) out_ += ',';
      first = false;
      member(field, object);
    }
    out_ += '}';
  }

 private:
  static bool is_default(const Field& field, const void* object, const void* defaults) {
    switch (field.slot) {
      case Slot::none:
      case Slot::object: return false;
      case Slot::string: return field.ref<std::string>(object) == field.ref<std::string>(defaults);
      case Slot::boolean: return field.ref<bool>(object) == field.ref<bool>(defaults);
      case Slot::state: return field.ref<State>(object) == field.ref<State>(defaults);
      case Slot::map: return field.ref<StringMap>(object).empty();
      case Slot::list: return field.ref<std::vector<std::string>>(object).empty();
      case Slot::objects: return field.objects->size(field.locate(const_cast<void*>(object))) == 0;
      default: return field.number(object) == field.number(defaults);
    }
  }

  void member(const Field& field, const void* object) {
    const bool twin = field.kind == Kind::bytes && !redact_ && !is_utf8(field.ref<std::string>(object));
    json_append_string(out_, twin ? std::string(field.name) + std::string(kTwinSuffix) : std::string(field.name));
    out_ += ':';
    if (twin)
      json_append_string(out_, base64_encode(field.ref<std::string>(object)));
    else
      value(field, object);
  }

  void string(const Field& field, std::string_view text, size_t most) {
    if (redact_ && field.keep == Keep::size) return json_append_string(out_, '[' + std::to_string(text.size()) + " bytes]");
    if (!redact_ || text.size() <= most) return json_append_string(out_, text);
    json_append_string(out_, std::string(utf8_prefix(text, most)) + "...");
  }

  /// Of a list or a map.
  void item(const Field& field, std::string_view bytes) {
    const std::string_view name = item_bytes_name(field);
    if (redact_ || name.empty() || is_utf8(bytes)) return string(field, bytes, kAuditItemBytes);
    out_ += "{\"" + std::string(name) + "\":\"" + base64_encode(bytes) + "\"}";
  }

  // Whether entry `i` of `count` is still written; after the last one that is, a note says how many more there are.
  bool more(size_t i, size_t count, std::string& note) const {
    if (!redact_ || i < kAuditItems) return true;
    note = std::to_string(count - i) + " more";
    return false;
  }

  void map(const Field& field, const StringMap& map) {
    out_ += '{';
    size_t i = 0;
    std::string note;
    for (const auto& [key, value] : map) {
      if (!more(i, map.size(), note)) break;
      if (i++ > 0) out_ += ',';
      json_append_string(out_, redact_ && key.size() > kAuditItemBytes ? std::string(utf8_prefix(key, kAuditItemBytes)) + "..." : key);
      out_ += ':';
      if (redact_ && field.keep == Keep::names)
        out_ += "\"***\"";
      else
        item(field, value);
    }
    if (!note.empty()) {
      out_ += ",\"...\":";
      json_append_string(out_, note);
    }
    out_ += '}';
  }

  void list(const Field& field, const std::vector<std::string>& list) {
    out_ += '[';
    size_t i = 0;
    std::string note;
    for (const std::string& item : list) {
      if (!more(i, list.size(), note)) break;
      if (i++ > 0) out_ += ',';
      this->item(field, item);
    }
    if (!note.empty()) {
      out_ += ',';
      json_append_string(out_, note);
    }
    out_ += ']';
  }

  void objects(const Field& field, const void* object) {
    void* vector = field.locate(const_cast<void*>(object));
    const size_t count = field.objects->size(vector);
    const Fields& fields = field.objects->fields();
    out_ += '[';
    std::string note;
    for (size_t i = 0; i < count && more(i, count, note); ++i) {
      if (i > 0) out_ += ',';
      this->object(fields, field.objects->at(vector, i));
    }
    if (!note.empty()) {
      out_ += ',';
      json_append_string(out_, note);
    }
    out_ += ']';
  }

  void value(const Field& field, const void* object) {
    switch (field.kind) {
      case Kind::text:
      case Kind::bytes:
      case Kind::word: return string(field, field.ref<std::string>(object), kAuditTextBytes);
      case Kind::state: return json_append_string(out_, state_name(field.ref<State>(object)));
      case Kind::flag: out_ += field.ref<bool>(object) ? "true" : "false"; return;
      case Kind::map: return map(field, field.ref<StringMap>(object));
      case Kind::list: return list(field, field.ref<std::vector<std::string>>(object));
      case Kind::objects: return objects(field, object);
      case Kind::object: return this->object(field.objects->fields(), field.locate(const_cast<void*>(object)));
      case Kind::derived: out_ += field.derive(object); return;
      case Kind::ignored:
      case Kind::unsupported: return;
      default: break;
    }
    const std::string number = number_spell(field.kind, field.number(object));
    if (is_quoted_number(field.kind))
      json_append_string(out_, number);
    else
      out_ += number;
  }

  std::string& out_;
  const bool redact_;
};

}  // namespace

void encode_fields(const Fields& fields, const void* object, std::string& out) { Writer(out, false).object(fields, object); }

std::string redact_fields(const Fields& fields, const void* object) {
  std::string out;
  Writer(out, true).object(fields, object);
  return out;
}

}  // namespace svm::model
