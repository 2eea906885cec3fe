#include "core/error.hpp"
#include "model/fields.hpp"
#include "model/numbers.hpp"
#include "model/utf8.hpp"

namespace svm::model {
namespace {

bool has_control(std::string_view text) {
  for (const char c : text)
    if (static_cast<uint8_t>(c) < 0x20 || c == 0x7f) return true;
  return false;
}

bool is_name(std::string_view text) {
  const auto plain = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); };
  for (size_t i = 0; i < text.size(); ++i)
    if (!plain(text[i]) && (i == 0 || (text[i] != '.' && text[i] != '_' && text[i] != '-'))) return false;
  return true;
}

// What is wrong with the form of `value`, nullptr if nothing is.
const char* misformed(Format format, std::string_view value) {
  if (format == Format::blob) return nullptr;
  if (value.find('\0') != value.npos) return "has a NUL byte";
  switch (format) {
    case Format::blob:
    case Format::argument: return nullptr;
    case Format::absolute: return value.empty() || value[0] == '/' ? nullptr : "is not an absolute path";
    case Format::variable: return value.empty() ? "is empty" : value.find('=') != value.npos ? "has a '='" : nullptr;
    case Format::text: return is_utf8(value) ? nullptr : "is not UTF-8";
    case Format::name: return is_name(value) ? nullptr : "is not letters, digits, '.', '_' and '-', beginning with a letter or digit";
    case Format::label:
      if (value.find_first_of(" /\\") != value.npos) return "has a blank or a slash";
      [[fallthrough]];
    case Format::line: return !is_utf8(value) ? "is not UTF-8" : has_control(value) ? "has a control character" : nullptr;
  }
  return nullptr;
}

void check_string(std::string_view name, std::string_view value, int64_t least, int64_t most, Format format) {
  if (value.size() < static_cast<uint64_t>(least)) refuse_field(name, value.empty() ? "is missing or empty" : "is too short", static_cast<size_t>(least));
  if (value.size() > static_cast<uint64_t>(most)) refuse_field(name, "is longer than " + std::to_string(most) + " bytes", static_cast<size_t>(most));
  if (const char* why = misformed(format, value)) refuse_field(name, why);
}

void check_number(const Field& field, std::string_view name, int64_t value) {
  if (value == 0 && field.zero_default) return;
  if (value == field.absent && field.may_be_absent) return;
  if (value >= field.least && value <= field.most) return;
  const std::string least = number_spell(field.kind, field.least), most = number_spell(field.kind, field.most);
  if (field.least == INT64_MIN || field.most == INT64_MAX) refuse_field(name, value < field.least ? "is too small" : "is too large", value < field.least ? least : most);
  refuse_field(name, "must be from " + least + " to " + most, value < field.least ? least : most);
}

void check_items(const Field& field, std::string_view name, size_t count) {
  if (count > field.most_items) refuse_field(name, "has more than " + std::to_string(field.most_items) + " entries", field.most_items);
}

void check_object(const Fields& fields, const void* object, std::string_view prefix);

void check_field(const Field& field, std::string_view name, const void* object) {
  switch (field.slot) {
    case Slot::none:
    case Slot::boolean:
    case Slot::state: return;
    case Slot::string: {
      const auto& value = field.ref<std::string>(object);
      if (field.kind != Kind::word) return check_string(name, value, field.least, field.most, field.format);
      for (const std::string_view word : field.words)
        if (word == value) return;
      std::string words;
      for (const std::string_view word : field.words)
        if (!word.empty()) (words += words.empty() ? "" : ", ") += word;
      refuse_field(name, "must be one of " + words);
    }
    case Slot::u32:
    case Slot::u64:
    case Slot::i32:
    case Slot::i64: return check_number(field, name, field.number(object));
    case Slot::map: {
      const auto& map = field.ref<StringMap>(object);
      check_items(field, name, map.size());
      for (const auto& [key, value] : map) {
        // A name may be as secret as its value when the two were swapped by mistake: neither is repeated.
        check_string(name, key, 1, static_cast<int64_t>(field.most_key), field.key_format);
        check_string(name, value, field.least, field.most, field.format);
      }
      return;
    }
    case Slot::list: {
      const auto& list = field.ref<std::vector<std::string>>(object);
      check_items(field, name, list.size());
      for (const std::string& item : list) check_string(name, item, field.least, field.most, field.format);
      return;
    }
    case Slot::object: return check_object(field.objects->fields(), field.locate(const_cast<void*>(object)), std::string(name) + '.');
    case Slot::objects: {
      void* vector = field.locate(const_cast<void*>(object));
      const size_t count = field.objects->size(vector);
      check_items(field, name, count);
      for (size_t i = 0; i < count; ++i)
        check_object(field.objects->fields(), field.objects->at(vector, i), std::string(name) + '[' + std::to_string(i) + "].");
      return;
    }
  }
}

void check_object(const Fields& fields, const void* object, std::string_view prefix) {
  for (const Field& field : fields.list) {
    if (prefix.empty())
      check_field(field, field.name, object);
    else
      check_field(field, std::string(prefix) + std::string(field.name), object);
  }
  if (fields.check) fields.check(object);
}

}  // namespace

void validate_fields(const Fields& fields, const void* object) { check_object(fields, object, ""); }

}  // namespace svm::model
