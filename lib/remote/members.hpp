// Members of what a server says. Internal to lib/remote.
#pragma once
#include <string>
#include <string_view>

#include "model/json.hpp"

namespace svm::remote {

/// nullptr: there is none of that name, or it is no object.
inline const model::Json* member(const model::Json& json, std::string_view name) {
  for (size_t i = 0; i < json.names.size(); ++i)
    if (json.names[i] == name) return &json.items[i];
  return nullptr;
}

/// "" for what is no text.
inline std::string text_of(const model::Json& json, std::string_view name) {
  const model::Json* found = member(json, name);
  return found && found->type == model::Json::Type::string ? found->text : std::string();
}

}  // namespace svm::remote
