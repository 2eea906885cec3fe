#include "gate/trace.hpp"

namespace svm::gate {
namespace {
thread_local Trace* t_trace = nullptr;
}  // namespace

TraceScope::TraceScope(Trace trace) : trace_(std::move(trace)) { t_trace = &trace_; }
TraceScope::~TraceScope() { t_trace = nullptr; }

void trace_stage(std::string_view operation, std::string_view stage) {
  if (t_trace) (*t_trace)(operation, stage);
}

}  // namespace svm::gate
