#include "core/error.hpp"
#include "gate/handlers.hpp"
#include "model/limits.hpp"

namespace svm::gate {
namespace {

// One text for unknown and another tenant's, so that they cannot be told apart.
Error exec_not_found() { return Error(Code::not_found, "command not found"); }

store::Store::ExecState state_of(std::string_view word) {
  if (word == "running") return store::Store::ExecState::running;
  return word == "ended" ? store::Store::ExecState::ended : store::Store::ExecState::any;
}

}  // namespace

NoPlan Handler<ops::ExecList>::resolve(Act&, model::ExecListRequest& request) {
  if (request.limit == 0) request.limit = model::kDefaultListLimit;
  return {};
}
model::ExecList Handler<ops::ExecList>::run(Act& act, model::ExecListRequest& request, NoPlan&) {
  model::ExecList list;
  for (model::ExecRecord& exec :
       act.manager.execs({std::move(request.sandbox_id), act.caller.tenant, std::move(request.after), state_of(request.state), request.limit}))
    list.items.push_back({std::move(exec)});
  return list;
}

NoPlan Handler<ops::ExecGet>::resolve(Act&, model::ExecGetRequest&) { return {}; }
model::ExecInfo Handler<ops::ExecGet>::run(Act& act, model::ExecGetRequest& request, NoPlan&) {
  std::optional<model::ExecRecord> exec = act.manager.exec(request.exec_id);
  if (!exec || (!act.caller.tenant.empty() && act.caller.tenant != exec->tenant_id)) throw exec_not_found();
  return {std::move(*exec)};
}

}  // namespace svm::gate
