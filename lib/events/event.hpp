// What an event says, and how it is spelt.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "model/records.hpp"

namespace svm::events {

inline constexpr size_t kMaxDataBytes = 2048;  // of one event's members; what does not fit is left out, and "cut" is true
inline constexpr size_t kMaxTextBytes = 256;   // of one member

/// Every type there is. Filters may name these and no other.
inline constexpr std::string_view kTypes[] = {
    "sandbox.created", "sandbox.running", "sandbox.updated", "sandbox.destroyed", "sandbox.error", "exec.started", "exec.completed", "exec.failed",
    "exec.timeout", "file.written", "file.read", "operation.failed", "resource.limit", "reconcile.action",
    // Of the stream of events itself: events that are gone because they were too many or too old, and events that could not be stored.
    "events.gap", "events.lost"};
bool is_type(std::string_view type) noexcept;

/// The members of an event's data, in order. Text is cut at kMaxTextBytes; bytes that are not UTF-8 become U+FFFD.
class Data {
 public:
  Data& text(std::string_view name, std::string_view value);
  Data& number(std::string_view name, int64_t value);
  /// A JSON object, or "" without members.
  std::string json() const;

 private:
  void member(std::string_view name, const std::string& json);
  std::string members_;
  bool cut_ = false;
};

/// {"id":"evt-12","type":"exec.completed","sandbox_id":"sb-...","timestamp":"2026-...Z","data":{...}}: the members of the wire, and tenant_id
/// where there is one.
std::string encode(const model::Event& event);

}  // namespace svm::events
