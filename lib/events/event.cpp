#include "events/event.hpp"

#include <algorithm>

#include "model/json.hpp"
#include "model/timestamp.hpp"
#include "model/utf8.hpp"

namespace svm::events {
namespace {

void append_member(std::string& out, std::string_view name, std::string_view text) {
  model::json_append_string(out, name);
  out += ':';
  model::json_append_string(out, text);
}

}  // namespace

bool is_type(std::string_view type) noexcept { return std::find(std::begin(kTypes), std::end(kTypes), type) != std::end(kTypes); }

Data& Data::text(std::string_view name, std::string_view value) {
  std::string json;
  if (value.size() <= kMaxTextBytes)
    model::json_append_string(json, value);
  else
    model::json_append_string(json, std::string(model::utf8_prefix(value, kMaxTextBytes)) + "...");
  member(name, json);
  return *this;
}

Data& Data::number(std::string_view name, int64_t value) {
  member(name, std::to_string(value));
  return *this;
}

void Data::member(std::string_view name, const std::string& json) {
  constexpr std::string_view kCut = R"({,"cut":true})";
  if (members_.size() + name.size() + json.size() + 4 + kCut.size() > kMaxDataBytes) {
    cut_ = true;
    return;
  }
  if (!members_.empty()) members_ += ',';
  model::json_append_string(members_, name);
  members_ += ':';
  members_ += json;
}

std::string Data::json() const {
  if (members_.empty() && !cut_) return "";
  return '{' + members_ + (!cut_ ? "" : members_.empty() ? R"("cut":true)" : R"(,"cut":true)") + '}';
}

std::string encode(const model::Event& event) {
  std::string out = R"({"id":"evt-)" + std::to_string(event.id) + "\",";
  append_member(out, "type", event.type);
  if (!event.sandbox_id.empty()) append_member(out += ',', "sandbox_id", event.sandbox_id);
  if (!event.tenant_id.empty()) append_member(out += ',', "tenant_id", event.tenant_id);
  append_member(out += ',', "timestamp", model::timestamp_format_ms(event.wall_ms));
  if (!event.data.empty()) (out += R"(,"data":)") += event.data;
  return out += '}';
}

}  // namespace svm::events
