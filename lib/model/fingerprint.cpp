// One value for all that a struct says, so that two requests can be told apart without keeping either: the environment is secret.
#include <algorithm>

#include "core/bytes.hpp"
#include "model/fields.hpp"
#include "model/sha256.hpp"

namespace svm::model {
namespace {

void write_object(ByteWriter& writer, const Fields& fields, const void* object, std::span<const std::string_view> except);

// Every value has a length or a count before it: no two different objects have the same bytes.
void write_value(ByteWriter& writer, const Field& field, const void* object) {
  switch (field.slot) {
    case Slot::none: return;
    case Slot::string: return writer.bytes(field.ref<std::string>(object));
    case Slot::boolean: return writer.u8(field.ref<bool>(object));
    case Slot::state: return writer.u8(static_cast<uint8_t>(field.ref<State>(object)));
    case Slot::u32:
    case Slot::i32:
    case Slot::i64: return writer.i64(field.number(object));
    case Slot::u64: return writer.u64(field.ref<uint64_t>(object));
    case Slot::map: {
      const auto& map = field.ref<StringMap>(object);
      writer.u32(static_cast<uint32_t>(map.size()));
      for (const auto& [key, value] : map) {
        writer.bytes(key);
        writer.bytes(value);
      }
      return;
    }
    case Slot::list: {
      const auto& list = field.ref<std::vector<std::string>>(object);
      writer.u32(static_cast<uint32_t>(list.size()));
      for (const std::string& item : list) writer.bytes(item);
      return;
    }
    case Slot::object: return write_object(writer, field.objects->fields(), field.locate(const_cast<void*>(object)), {});
    case Slot::objects: {
      void* vector = field.locate(const_cast<void*>(object));
      const size_t count = field.objects->size(vector);
      writer.u32(static_cast<uint32_t>(count));
      for (size_t i = 0; i < count; ++i) write_object(writer, field.objects->fields(), field.objects->at(vector, i), {});
      return;
    }
  }
}

void write_object(ByteWriter& writer, const Fields& fields, const void* object, std::span<const std::string_view> except) {
  for (const Field& field : fields.list) {
    if (!field.locate || std::find(except.begin(), except.end(), field.name) != except.end()) continue;
    writer.bytes(field.name);
    write_value(writer, field, object);
  }
}

}  // namespace

std::string fingerprint_fields(const Fields& fields, const void* object, std::span<const std::string_view> except) {
  std::string bytes;
  ByteWriter writer(bytes);
  write_object(writer, fields, object, except);
  return sha256(bytes);
}

}  // namespace svm::model
