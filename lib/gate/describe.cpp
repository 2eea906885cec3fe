#include "gate/gate.hpp"
#include "model/fields.hpp"
#include "model/json.hpp"

namespace svm::gate {
namespace {

void member(std::string& out, std::string_view name, std::string_view value) {
  model::json_append_string(out, name);
  out += ':';
  model::json_append_string(out, value);
  out += ',';
}

template <class O>
void append_operation(std::string& out) {
  if (out.size() > 1) out += ',';
  out += '{';
  member(out, "name", O::row.name);
  member(out, "scope", ops::scope_name(O::row.scope));
  member(out, "effect", O::row.effect == ops::Effect::read ? "read" : "write");
  member(out, "shape", O::row.shape == ops::Shape::unary ? "unary" : "stream");
  member(out, "doc", O::row.doc);
  if (O::row.shape == ops::Shape::unary) member(out, "media", O::row.media);
  out += "\"request\":" + model::schema<typename O::Request>();
  if constexpr (O::row.shape == ops::Shape::unary) out += ",\"response\":" + model::schema<typename O::Response>();
  out += '}';
}

template <class... O>
std::string describe(std::tuple<O...>*) {
  std::string out = "[";
  (append_operation<O>(out), ...);
  return out + ']';
}

}  // namespace

std::string describe_operations() { return describe(static_cast<ops::All*>(nullptr)); }

}  // namespace svm::gate
