// Makes a Field from a member pointer. Internal to lib/model.
#pragma once
#include <tuple>
#include <type_traits>

#include "model/fields.hpp"

namespace svm::model {

template <class T>
struct MemberOf;
template <class C, class M>
struct MemberOf<M C::*> {
  using Class = C;
  using Type = M;
};

// &A::b, &B::c means a.b.c.
template <auto First, auto... Rest>
auto& follow(typename MemberOf<decltype(First)>::Class& object) {
  if constexpr (sizeof...(Rest) == 0)
    return object.*First;
  else
    return follow<Rest...>(object.*First);
}

template <auto First, auto... Rest>
void* locate(void* object) { return &follow<First, Rest...>(*static_cast<typename MemberOf<decltype(First)>::Class*>(object)); }

template <class T>
inline constexpr Objects kObjects{
    [] () -> const Fields& { return fields_of<T>(); },
    [](const void* vector) { return static_cast<const std::vector<T>*>(vector)->size(); },
    [](void* vector, size_t index) -> void* { return &(*static_cast<std::vector<T>*>(vector))[index]; },
    [](void* vector) -> void* { return &static_cast<std::vector<T>*>(vector)->emplace_back(); },
};

template <class T>
inline constexpr Objects kObject{[] () -> const Fields& { return fields_of<T>(); }, nullptr, nullptr, nullptr};

template <class T>
constexpr Slot slot_of() {
  if constexpr (std::is_same_v<T, std::string>) return Slot::string;
  else if constexpr (std::is_same_v<T, bool>) return Slot::boolean;
  else if constexpr (std::is_same_v<T, uint32_t>) return Slot::u32;
  else if constexpr (std::is_same_v<T, uint64_t>) return Slot::u64;
  else if constexpr (std::is_same_v<T, int32_t>) return Slot::i32;
  else if constexpr (std::is_same_v<T, int64_t>) return Slot::i64;
  else if constexpr (std::is_same_v<T, State>) return Slot::state;
  else if constexpr (std::is_same_v<T, StringMap>) return Slot::map;
  else if constexpr (std::is_same_v<T, std::vector<std::string>>) return Slot::list;
  else if constexpr (requires { typename T::value_type; }) return Slot::objects;
  else return Slot::object;
}

constexpr bool fits(Kind kind, Slot slot) {
  switch (kind) {
    case Kind::text: case Kind::bytes: case Kind::word: return slot == Slot::string;
    case Kind::state: return slot == Slot::state;
    case Kind::flag: return slot == Slot::boolean;
    case Kind::integer: return slot == Slot::u32 || slot == Slot::u64 || slot == Slot::i32 || slot == Slot::i64;
    case Kind::mebibytes: return slot == Slot::u64;
    case Kind::cpus: case Kind::mode: return slot == Slot::u32;
    case Kind::duration_ms: case Kind::duration_us: case Kind::time_ms: case Kind::time_ns: return slot == Slot::i64;
    case Kind::map: return slot == Slot::map;
    case Kind::list: return slot == Slot::list;
    case Kind::objects: return slot == Slot::objects;
    case Kind::object: return slot == Slot::object;
    case Kind::derived: case Kind::ignored: case Kind::unsupported: return false;
  }
  return false;
}

template <Kind kKind, auto... Path>
consteval Field field(std::string_view name, std::string_view doc) {
  using Type = std::remove_reference_t<decltype(follow<Path...>(std::declval<typename MemberOf<std::tuple_element_t<0, std::tuple<decltype(Path)...>>>::Class&>()))>;
  constexpr Slot kSlot = slot_of<Type>();
  static_assert(fits(kKind, kSlot), "this kind cannot describe a member of this type");
  Field f;
  f.name = name;
  f.kind = kKind;
  f.doc = doc;
  f.slot = kSlot;
  f.locate = &locate<Path...>;
  if constexpr (kSlot == Slot::objects) f.objects = &kObjects<typename Type::value_type>;
  if constexpr (kSlot == Slot::object) f.objects = &kObject<Type>;
  if constexpr (kSlot == Slot::u32) f.most = UINT32_MAX;
  if constexpr (kSlot == Slot::i32) {
    f.least = INT32_MIN;
    f.most = INT32_MAX;
  }
  if constexpr (kSlot == Slot::i64) f.least = INT64_MIN;
  return f;
}

/// A field of requests that has no member.
consteval Field field_without_member(Kind kind, std::string_view name, std::string_view doc) {
  Field f;
  f.name = name;
  f.kind = kind;
  f.doc = doc;
  return f;
}

/// A field of answers whose JSON is made from other members; `type` is what the schema says.
consteval Field derived(std::string_view name, std::string_view type, std::string (*derive)(const void*), std::string_view doc) {
  Field f;
  f.name = name;
  f.kind = Kind::derived;
  f.doc = doc;
  f.derive = derive;
  f.derived_type = type;
  f.always = true;
  return f;
}

template <class T>
inline const T kDefaults{};

/// The definition of fields_of<Type>; what follows the list is Fields::array, check, strict.
#define SVM_FIELDS(Type, list, ...)                                           \
  template <>                                                                 \
  const Fields& fields_of<Type>() {                                           \
    static const Fields fields{#Type, list, &kDefaults<Type>, __VA_ARGS__};   \
    return fields;                                                            \
  }

}  // namespace svm::model
