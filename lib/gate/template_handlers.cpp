#include "core/clock.hpp"
#include "core/error.hpp"
#include "core/id.hpp"
#include "gate/handlers.hpp"
#include "model/duration.hpp"
#include "model/fields.hpp"
#include "model/limits.hpp"
#include "model/utf8.hpp"

namespace svm::gate {
namespace {

constexpr std::string_view kLabel = "template";  // of a template's sandboxes: its name

/// One spelling of what has two.
void settle(model::Template& body) {
  if (body.milli_cpus == 0) body.milli_cpus = body.cpu_cores;
  if (body.ttl_ms == 0) body.ttl_ms = int64_t{body.ttl_seconds} * 1000;
  body.cpu_cores = body.ttl_seconds = 0;
}

void refuse_more_than_settings(const Act& act, const model::Template& body) {
  const int64_t most = act.manager.settings().defaults.most_ttl_ms();
  if (body.ttl_ms > most) throw manager::beyond("ttl", most);
}

model::TemplateInfo info_of(const Act& act, model::TemplateRecord&& record) {
  const model::Defaults& defaults = act.manager.settings().defaults;
  model::TemplateInfo info{std::move(record.body), record.created_ms, record.updated_ms};
  model::Template& body = info.body;
  if (body.memory_bytes == 0) body.memory_bytes = defaults.usual_memory();
  if (body.disk_bytes == 0) body.disk_bytes = std::min(defaults.usual_disk(), body.memory_bytes);
  if (body.milli_cpus == 0) body.milli_cpus = defaults.usual_cpus();
  if (body.pids == 0) body.pids = defaults.usual_pids();
  if (body.ttl_ms == 0) body.ttl_ms = defaults.usual_ttl_ms();
  body.cpu_cores = body.milli_cpus;
  if (!act.caller.local && names_host_path(body.image)) body.image = manager::kHiddenPath;
  return info;
}

/// The end of what a command wrote, as it may stand in a message.
std::string end_of(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.remove_suffix(1);
  if (text.size() > model::kSetupErrorBytes) text.remove_prefix(text.size() - model::kSetupErrorBytes);
  while (!text.empty() && model::utf8_character(text) == 0) text.remove_prefix(1);
  return std::string(text);
}

}  // namespace

void apply_template(const model::Template& body, model::SpawnRequest& request) {
  if (request.image.empty()) request.image = body.image;
  if (request.provider.empty()) request.provider = body.provider;
  if (request.memory_bytes == 0) request.memory_bytes = body.memory_bytes;
  if (request.disk_bytes == 0) request.disk_bytes = body.disk_bytes;
  if (request.milli_cpus == 0) request.milli_cpus = body.milli_cpus;
  if (request.pids == 0) request.pids = body.pids;
  if (request.ttl_ms == 0) request.ttl_ms = body.ttl_ms;
  request.env.insert(body.env.begin(), body.env.end());  // what the request has stays
  request.metadata.insert(body.metadata.begin(), body.metadata.end());
  request.metadata.insert_or_assign(std::string(kLabel), body.name);
}

void run_setup(providers::Session& session, const std::vector<std::string>& setup) {
  const int64_t deadline = system_clock().monotonic_ms() + model::kSetupTimeoutMs;
  for (size_t i = 0; i < setup.size(); ++i) {
    const std::string field = "setup[" + std::to_string(i) + ']';
    const auto failed = [&](Code code, std::string what) { return Error(code, "template: " + field + ' ' + std::move(what)).with("field", field); };
    const int64_t left = deadline - system_clock().monotonic_ms();
    if (left <= 0) throw failed(Code::timeout, "had no time left: all commands together have " + model::duration_format(model::kSetupTimeoutMs * 1'000'000));
    protocol::ExecRequest exec;
    exec.id = random_id(kExecPrefix);
    exec.shell = setup[i];
    exec.timeout_ms = static_cast<uint64_t>(left);
    exec.output_limit = model::kMaxSetupOutput;
    const Bounds bounds{static_cast<size_t>(model::kMaxSetupOutput) + protocol::kWindow, left + kTimeoutGraceMs, -1};
    const Answer answer = exchange(session, {message(protocol::Op::exec, exec), {}, false, bounds});
    protocol::ExecResult result;
    if (!protocol::decode(answer.body, result)) malformed_answer();
    if (result.reason == protocol::ExecReason::exited && result.exit_code == 0) continue;
    const std::string last = end_of(answer.err);
    Error error = failed(result.reason == protocol::ExecReason::timeout ? Code::timeout : Code::invalid,
                         "failed: " + exec_summary(exec_reason_name(result.reason), result.exit_code) + (last.empty() ? "" : ": " + last));
    throw std::move(error).with("exit_code", static_cast<long long>(result.exit_code));
  }
}

NoPlan Handler<ops::TemplateCreate>::resolve(Act& act, model::TemplateCreateRequest& request) {
  settle(request.body);
  refuse_more_than_settings(act, request.body);
  refuse_host_path(act.caller, request.body.image);
  if (request.body.version == 0) request.body.version = 1;
  return {};
}
model::TemplateInfo Handler<ops::TemplateCreate>::run(Act& act, model::TemplateCreateRequest& request, NoPlan&) {
  return info_of(act, act.manager.create_template(act.caller.tenant, std::move(request.body)));
}

NoPlan Handler<ops::TemplateList>::resolve(Act&, model::EmptyRequest&) { return {}; }
model::TemplateList Handler<ops::TemplateList>::run(Act& act, model::EmptyRequest&, NoPlan&) {
  model::TemplateList list;
  for (model::TemplateRecord& record : act.manager.templates(act.caller.tenant)) list.items.push_back(info_of(act, std::move(record)));
  return list;
}

NoPlan Handler<ops::TemplateGet>::resolve(Act&, model::TemplateIdRequest&) { return {}; }
model::TemplateInfo Handler<ops::TemplateGet>::run(Act& act, model::TemplateIdRequest& request, NoPlan&) {
  return info_of(act, act.manager.get_template(act.caller.tenant, request.template_name));
}

NoPlan Handler<ops::TemplateUpdate>::resolve(Act& act, model::TemplateUpdateRequest& request) {
  settle(request.body);
  refuse_more_than_settings(act, request.body);
  refuse_host_path(act.caller, request.body.image);
  request.body.name = request.template_name;
  return {};
}
model::TemplateInfo Handler<ops::TemplateUpdate>::run(Act& act, model::TemplateUpdateRequest& request, NoPlan&) {
  return info_of(act, act.manager.update_template(act.caller.tenant, std::move(request.body)));
}

NoPlan Handler<ops::TemplateDelete>::resolve(Act&, model::TemplateIdRequest&) { return {}; }
model::Status Handler<ops::TemplateDelete>::run(Act& act, model::TemplateIdRequest& request, NoPlan&) {
  act.manager.delete_template(act.caller.tenant, request.template_name);
  return {"deleted"};
}

manager::ResolvedSpawn Handler<ops::TemplateSpawn>::resolve(Act& act, model::SpawnRequest& request) {
  if (request.template_name.empty()) model::refuse_field("template", "is missing");
  return resolve_spawn(act, request);
}
model::SandboxInfo Handler<ops::TemplateSpawn>::run(Act& act, model::SpawnRequest&, Plan& plan) { return run_spawn(act, std::move(plan)); }

}  // namespace svm::gate
