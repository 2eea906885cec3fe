// For tests: which stages a call really passed. Costs one thread-local load a stage where nobody listens.
#pragma once
#include <functional>
#include <string_view>

namespace svm::gate {

using Trace = std::function<void(std::string_view operation, std::string_view stage)>;

/// Calls `trace` at the start of every stage of every call that this thread makes, until the object is gone.
class TraceScope {
 public:
  explicit TraceScope(Trace trace);
  ~TraceScope();
  TraceScope(const TraceScope&) = delete;
  TraceScope& operator=(const TraceScope&) = delete;

 private:
  Trace trace_;
};

void trace_stage(std::string_view operation, std::string_view stage);

}  // namespace svm::gate
