#include <algorithm>

#include "core/error.hpp"
#include "gate/handlers.hpp"
#include "model/fields.hpp"
#include "model/limits.hpp"

namespace svm::gate {
namespace {

constexpr int64_t kStatsMs = 2'000;  // how long an agent may take to say what it takes microseconds to find out

Error forbidden(std::string field) {
  return Error(Code::forbidden, field + ": only the embedding application may name host paths").with("field", field);
}

void refuse_host_paths(const model::Identity& caller, const model::SpawnRequest& request) {
  if (!caller.local && !request.mounts.empty()) throw forbidden("mounts");
  refuse_host_path(caller, request.image);
}

bool has_label(const model::StringMap& labels, std::string_view wanted) {
  const size_t equals = wanted.find('=');
  const auto found = labels.find(std::string(wanted.substr(0, equals)));
  return found != labels.end() && found->second == wanted.substr(equals + 1);
}

bool passes(const model::ListRequest& filter, const model::SandboxRecord& record) {
  if (!filter.state.empty() && filter.state != model::state_name(record.state)) return false;
  if (!filter.name.empty() && filter.name != record.name) return false;
  if (!filter.owner_id.empty() && filter.owner_id != record.owner_id) return false;
  return std::all_of(filter.labels.begin(), filter.labels.end(), [&](const std::string& label) { return has_label(record.metadata, label); });
}

/// What only the agent knows. One that does not answer leaves what the host counts, which is then worth most.
void ask_disk(providers::Session& session, model::SandboxStats& stats) {
  try {
    const Answer answer = exchange(session, {message(protocol::Op::stats, protocol::StatsRequest{}), {}, false, {0, kStatsMs, -1}});
    protocol::DiskStats disk;
    if (!protocol::decode(answer.body, disk) || disk.size > INT64_MAX || disk.inodes > INT64_MAX) malformed_answer();
    stats.disk = static_cast<int64_t>(disk.used);
    if (disk.inodes != 0) {
      stats.inodes = static_cast<int64_t>(disk.inodes_used);
      stats.inodes_limit = static_cast<int64_t>(disk.inodes);
    } else {
      stats.missing.push_back("inodes: the file system does not count them");
    }
  } catch (const Error& error) {
    for (const char* what : {"disk_bytes: ", "inodes: "}) stats.missing.push_back(what + error.message());
  }
}

}  // namespace

model::SandboxInfo shown(const model::Identity& caller, model::SandboxRecord&& record) {
  if (!caller.local && names_host_path(record.image)) record.image = manager::kHiddenPath;
  return {std::move(record)};
}

Error sandbox_not_found() { return Error(Code::not_found, "sandbox not found"); }

bool may_see(const model::Identity& caller, const model::SandboxRecord& record) noexcept {
  return caller.tenant.empty() || caller.tenant == record.tenant_id;
}

bool names_host_path(std::string_view image) noexcept { return !image.empty() && (image[0] == '/' || image[0] == '.'); }

void refuse_host_path(const model::Identity& caller, std::string_view image) {
  if (!caller.local && names_host_path(image)) throw forbidden("image");
}

manager::ResolvedSpawn resolve_spawn(Act& act, model::SpawnRequest& request) {
  refuse_host_paths(act.caller, request);
  const bool own_image = !request.image.empty();
  if (!act.caller.owner.empty()) request.owner_id = act.caller.owner;
  std::optional<model::TemplateRecord> source;
  if (!request.template_name.empty()) {
    source = act.manager.get_template(act.caller.tenant, request.template_name);
    apply_template(source->body, request);
    model::validate(request);  // what fits in either may be too much together
  }
  // A path in a template was put there by the embedding application: for others to use, but not to know.
  manager::ResolvedSpawn spawn = act.manager.resolve(request, act.caller, act.caller.local || !own_image);
  if (source && !source->body.setup.empty())
    spawn.prepare = [setup = std::move(source->body.setup)](providers::Session& session) { run_setup(session, setup); };
  return spawn;
}
model::SandboxInfo run_spawn(Act& act, manager::ResolvedSpawn&& plan) {
  const std::string id = plan.record.id;
  model::SandboxInfo info = shown(act.caller, act.manager.spawn(std::move(plan)));
  info.existed = info.record.id != id;
  return info;
}

manager::ResolvedSpawn Handler<ops::SandboxSpawn>::resolve(Act& act, model::SpawnRequest& request) { return resolve_spawn(act, request); }
model::SandboxInfo Handler<ops::SandboxSpawn>::run(Act& act, model::SpawnRequest&, Plan& plan) { return run_spawn(act, std::move(plan)); }

NoPlan Handler<ops::SandboxAdmission>::resolve(Act& act, model::SpawnRequest& request) {
  refuse_host_paths(act.caller, request);
  if (!act.caller.owner.empty()) request.owner_id = act.caller.owner;
  if (!request.template_name.empty()) apply_template(act.manager.get_template(act.caller.tenant, request.template_name).body, request);
  return {};
}
model::Admission Handler<ops::SandboxAdmission>::run(Act& act, model::SpawnRequest& request, NoPlan&) { return act.manager.admission(request, act.caller); }

NoPlan Handler<ops::SandboxGet>::resolve(Act&, model::GetRequest&) { return {}; }
model::SandboxInfo Handler<ops::SandboxGet>::run(Act& act, model::GetRequest&, NoPlan&) { return shown(act.caller, std::move(act.object)); }

NoPlan Handler<ops::SandboxList>::resolve(Act&, model::ListRequest& request) {
  if (request.limit == 0) request.limit = model::kDefaultListLimit;
  return {};
}
model::SandboxList Handler<ops::SandboxList>::run(Act& act, model::ListRequest& request, NoPlan&) {
  // The store knows neither tenants nor filters: read on until the caller's page is full, so that a short page means the end.
  model::SandboxList list;
  std::string after = request.after;
  while (list.items.size() < request.limit) {
    std::vector<model::SandboxRecord> page = act.manager.list(request.limit, after);
    const bool last = page.size() < request.limit;
    if (!page.empty()) after = page.back().id;
    for (model::SandboxRecord& record : page)
      if (list.items.size() < request.limit && may_see(act.caller, record) && passes(request, record)) list.items.push_back(shown(act.caller, std::move(record)));
    if (last) break;
  }
  return list;
}

NoPlan Handler<ops::SandboxDestroy>::resolve(Act&, model::DestroyRequest&) { return {}; }
model::Status Handler<ops::SandboxDestroy>::run(Act& act, model::DestroyRequest& request, NoPlan&) {
  act.manager.destroy(request.id, "requested", request.keep_ms);
  return {"destroyed"};
}

NoPlan Handler<ops::SandboxExtend>::resolve(Act&, model::ExtendRequest&) { return {}; }
model::SandboxInfo Handler<ops::SandboxExtend>::run(Act& act, model::ExtendRequest& request, NoPlan&) {
  return shown(act.caller, act.manager.extend(request.id, request.ttl_ms));
}

NoPlan Handler<ops::SandboxUpdate>::resolve(Act&, model::UpdateRequest&) { return {}; }
model::SandboxInfo Handler<ops::SandboxUpdate>::run(Act& act, model::UpdateRequest& request, NoPlan&) {
  return shown(act.caller, act.manager.relabel(request.id, std::move(request.metadata)));
}

NoPlan Handler<ops::SandboxStats>::resolve(Act&, model::SandboxIdRequest&) { return {}; }
model::SandboxStats Handler<ops::SandboxStats>::run(Act& act, model::SandboxIdRequest& request, NoPlan&) {
  model::SandboxStats stats = act.manager.stats(request.id);
  ask_disk(*act.manager.session(request.id), stats);
  return stats;
}

NoPlan Handler<ops::SandboxPrune>::resolve(Act&, model::PruneRequest&) { return {}; }
model::Pruned Handler<ops::SandboxPrune>::run(Act& act, model::PruneRequest& request, NoPlan&) {
  return {act.manager.prune(act.caller.tenant, request.older_than_ms)};
}

}  // namespace svm::gate
