#include "model/fields.hpp"

#include "core/error.hpp"

namespace svm::model {

int64_t Field::number(const void* object) const noexcept {
  switch (slot) {
    case Slot::u32: return ref<uint32_t>(object);
    case Slot::i32: return ref<int32_t>(object);
    case Slot::i64: return ref<int64_t>(object);
    case Slot::u64: {
      const uint64_t value = ref<uint64_t>(object);
      return value > INT64_MAX ? INT64_MAX : static_cast<int64_t>(value);
    }
    default: return 0;
  }
}

void Field::set_number(void* object, int64_t value) const noexcept {
  switch (slot) {
    case Slot::u32: ref<uint32_t>(object) = static_cast<uint32_t>(value); break;
    case Slot::i32: ref<int32_t>(object) = static_cast<int32_t>(value); break;
    case Slot::i64: ref<int64_t>(object) = value; break;
    case Slot::u64: ref<uint64_t>(object) = value == INT64_MAX ? UINT64_MAX : static_cast<uint64_t>(value); break;
    default: break;
  }
}

void refuse_field(std::string_view field, std::string_view why) {
  throw Error(Code::invalid, std::string(field) + ": " + std::string(why)).with("field", std::string(field));
}

void refuse_field(std::string_view field, std::string_view why, std::string_view limit) {
  throw Error(Code::invalid, std::string(field) + ": " + std::string(why))
      .with("field", std::string(field))
      .with("limit", std::string(limit));
}

std::string shell_join(const std::string& command, const std::vector<std::string>& args) {
  std::string text = command;
  for (const std::string& argument : args) {
    text += " '";
    for (const char c : argument) {
      if (c == '\'') text += "'\"'\"'";
      else text += c;
    }
    text += '\'';
  }
  return text;
}

}  // namespace svm::model
