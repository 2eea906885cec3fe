// JSON text to a small tree and back. What is parsed here came from a caller: every bound is checked before anything is built on it.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "model/limits.hpp"

namespace svm::model {

struct Json {
  enum class Type : uint8_t { null, boolean, number, string, array, object };
  Type type = Type::null;
  bool boolean = false;
  std::string text;                // string: its bytes, UTF-8. number: as it was written, so that nothing is rounded
  std::vector<std::string> names;  // object: names[i] is the name of items[i]
  std::vector<Json> items;         // array, object
};

/// One JSON value (RFC 8259) and nothing after it but white space. Throws Error invalid with the fact field = `field`: for bytes that
/// are not UTF-8, lone surrogates, an object that has a name twice, `most` bytes, kMaxJsonDepth and kMaxJsonValues. The message
/// never repeats the text.
Json json_parse(std::string_view text, std::string_view field, size_t most = kMaxBodyBytes);

/// Appends a quoted string. U+2028 and U+2029 are escaped (readers of line-delimited JSON split there); a byte that is not UTF-8
/// becomes U+FFFD.
void json_append_string(std::string& out, std::string_view text);

}  // namespace svm::model
