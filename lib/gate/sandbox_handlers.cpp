#include <algorithm>

#include "core/error.hpp"
#include "gate/handlers.hpp"
#include "model/limits.hpp"

namespace svm::gate {
namespace {

// A path of the host, and not the name of an image. A relative one without "./" is only ever looked up for a local caller
// (images::resolve), so this need not guess at file names.
bool names_host_path(std::string_view image) { return !image.empty() && (image[0] == '/' || image[0] == '.'); }

Error forbidden(std::string field) {
  return Error(Code::forbidden, field + ": only the embedding application may name host paths").with("field", field);
}

}  // namespace

Error sandbox_not_found() { return Error(Code::not_found, "sandbox not found"); }

bool may_see(const model::Identity& caller, const model::SandboxRecord& record) noexcept {
  return caller.tenant.empty() || caller.tenant == record.tenant_id;
}

manager::ResolvedSpawn Handler<ops::SandboxSpawn>::resolve(Act& act, model::SpawnRequest& request) {
  if (!act.caller.local) {
    if (!request.mounts.empty()) throw forbidden("mounts");
    if (names_host_path(request.image)) throw forbidden("image");
  }
  return act.manager.resolve(request, act.caller);
}
model::SandboxInfo Handler<ops::SandboxSpawn>::run(Act& act, model::SpawnRequest&, Plan& plan) { return {act.manager.spawn(std::move(plan))}; }

NoPlan Handler<ops::SandboxGet>::resolve(Act&, model::GetRequest&) { return {}; }
model::SandboxInfo Handler<ops::SandboxGet>::run(Act& act, model::GetRequest&, NoPlan&) { return {std::move(act.object)}; }

NoPlan Handler<ops::SandboxList>::resolve(Act&, model::ListRequest& request) {
  if (request.limit == 0) request.limit = model::kDefaultListLimit;
  return {};
}
model::SandboxList Handler<ops::SandboxList>::run(Act& act, model::ListRequest& request, NoPlan&) {
  // The store does not know tenants' pages: read on until the caller's page is full, so that a short page means the end.
  model::SandboxList list;
  std::string after = request.after;
  while (list.items.size() < request.limit) {
    std::vector<model::SandboxRecord> page = act.manager.list(request.limit, after);
    const bool last = page.size() < request.limit;
    if (!page.empty()) after = page.back().id;
    for (model::SandboxRecord& record : page)
      if (list.items.size() < request.limit && may_see(act.caller, record)) list.items.push_back({std::move(record)});
    if (last) break;
  }
  return list;
}

NoPlan Handler<ops::SandboxDestroy>::resolve(Act&, model::DestroyRequest&) { return {}; }
model::Status Handler<ops::SandboxDestroy>::run(Act& act, model::DestroyRequest& request, NoPlan&) {
  act.manager.destroy(request.id, "requested");
  return {"destroyed"};
}

NoPlan Handler<ops::SandboxExtend>::resolve(Act&, model::ExtendRequest&) { return {}; }
model::SandboxInfo Handler<ops::SandboxExtend>::run(Act& act, model::ExtendRequest& request, NoPlan&) {
  return {act.manager.extend(request.id, request.ttl_ms)};
}

}  // namespace svm::gate
