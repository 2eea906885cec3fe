// Answers of another instance, which encode() has made there.
#pragma once
#include <string_view>

#include "model/fields.hpp"

namespace svm::model {

/// What one answer may have, in JSON: a command's output of 64 MiB, where all of it has to be escaped.
inline constexpr size_t kMaxAnswerBytes = 512u << 20;

/// See decode_answer.
void decode_answer_fields(const Fields& fields, std::string_view json, void* object);

/// Reads back what a field list says; members that it does not have, and values beyond its bounds, are a later release's and no error. Throws Error io for
/// what is no such JSON.
template <class T>
T decode_answer(std::string_view json) {
  T value;
  decode_answer_fields(fields_of<T>(), json, &value);
  return value;
}

}  // namespace svm::model
