// Option structs of the C ABI: reading them safely, and filling the library's own requests from them.
#pragma once
#include <stacyvm/stacyvm.h>

#include <cstring>
#include <string>

#include "door.hpp"
#include "error.hpp"
#include "model/records.hpp"
#include "model/requests.hpp"
#include "model/settings.hpp"

namespace svm::capi {

/// The size each struct had when it was first released: less cannot be right.
template <class T>
inline constexpr uint32_t kFirstSize = 0;
template <>
inline constexpr uint32_t kFirstSize<stacyvm_options> = 32;
template <>
inline constexpr uint32_t kFirstSize<stacyvm_session_options> = 24;
template <>
inline constexpr uint32_t kFirstSize<stacyvm_spawn_options> = 136;
template <>
inline constexpr uint32_t kFirstSize<stacyvm_exec_options> = 96;
template <>
inline constexpr uint32_t kFirstSize<stacyvm_exec_result> = 88;
template <>
inline constexpr uint32_t kFirstSize<stacyvm_chunk> = 48;
template <>
inline constexpr uint32_t kFirstSize<stacyvm_stat> = 48;

/// No struct will ever be larger; a bigger number is uninitialised memory.
inline constexpr uint32_t kMaxStructSize = 4096;

/// Checks struct_size and the bytes beyond what this library knows. `name` is the parameter.
void check_struct(const void* at, uint32_t first, uint32_t ours, const char* name);

/// An input struct as this library knows it: what the caller's is too short for is zero. NULL: all zero.
template <class T>
T read_options(const T* theirs, const char* name) {
  static_assert(kFirstSize<T> > 0 && sizeof(T) >= kFirstSize<T>);
  T ours{};
  if (!theirs) return ours;
  check_struct(theirs, kFirstSize<T>, sizeof(T), name);
  std::memcpy(&ours, theirs, theirs->struct_size < sizeof(T) ? theirs->struct_size : sizeof(T));
  if (ours.reserved0 != 0) throw invalid(std::string(name) + ".reserved0", "not zero");
  return ours;
}

/// To be called before the work: an output struct of a wrong size must not lose its result.
template <class T>
void check_result(const T* theirs, const char* name) {
  static_assert(kFirstSize<T> > 0 && sizeof(T) >= kFirstSize<T>);
  if (!theirs) throw invalid(name, "NULL");
  if (theirs->struct_size < kFirstSize<T> || theirs->struct_size > kMaxStructSize)
    throw invalid(std::string(name) + ".struct_size", "wrong; use STACYVM_INIT");
}

/// Fills what both sides know; struct_size and what lies beyond stay as they are.
template <class T>
void write_result(T* theirs, T ours) noexcept {
  ours.struct_size = theirs->struct_size;
  std::memcpy(theirs, &ours, theirs->struct_size < sizeof(T) ? theirs->struct_size : sizeof(T));
}

void refuse_unknown_flags(uint64_t flags, uint64_t known);
std::string text_or_empty(const char* text);
/// Error invalid for NULL and "".
std::string required_text(const char* text, const char* field);

/// Of the embedding application, or of one of its callers; `remote`: to a server.
Caller session_caller(const stacyvm_session_options& o, bool remote);
model::Settings settings_of(const stacyvm_options& o);
model::SpawnRequest spawn_request(const stacyvm_spawn_options& o);
/// `streamed`: for exec_start. Error invalid for what the other form alone takes.
model::ExecRequest exec_request(const stacyvm_exec_options& o, std::string id, bool streamed);

}  // namespace svm::capi
