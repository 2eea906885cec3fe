// Commands that a former owner of the instance started.
#include "core/error.hpp"
#include "gate/audited_stream.hpp"
#include "gate/gate.hpp"
#include "gate/observed.hpp"
#include "model/limits.hpp"
#include "model/utf8.hpp"

namespace svm::gate {
namespace {

/// The agent knows the command and will tell its end, or does not and says so at once.
void watch_end(manager::Manager& manager, const model::SandboxRecord& sandbox, const model::ExecRecord& exec) {
  const Witness witness(manager.events(), sandbox, exec);
  Message ask = message(protocol::Op::attach, protocol::AttachRequest{exec.id, UINT64_MAX, true});
  auto stream = manager.session(sandbox.id)->request(ask.op, std::move(ask.payload));
  auto observed = std::make_shared<ObservedStream>(std::move(stream), [witness, &manager](const protocol::Result* result, const Counts&) {
    protocol::ExecResult ended;
    if (result && result->code == Code::ok && protocol::decode(result->body, ended))
      witness.exec_ended(manager, ended);
    else
      witness.exec_failed(Code::closed, "its owner ended");
  });
  model::AuditRow outcome;
  outcome.actor = "system";
  outcome.tenant = sandbox.tenant_id;
  outcome.action = ops::ExecStart::row.verb;
  outcome.object = sandbox.id;
  outcome.phase = "outcome";
  manager.keep(std::make_shared<AuditedStream>(std::move(observed), manager.audit(), std::move(outcome), exec.id, false));
}

/// A command may have been started so shortly before its owner's end that the history does not know of it.
void watch_unrecorded(manager::Manager& manager, const model::SandboxRecord& sandbox) {
  const Answer answer = exchange(*manager.session(sandbox.id), {message(protocol::Op::process_list, protocol::ProcessListRequest{}), {}, false, {0, -1, kFileIdleMs}});
  std::vector<protocol::ProcessInfo> processes;
  if (!protocol::decode_processes(answer.body, processes)) malformed_answer();
  for (const protocol::ProcessInfo& process : processes) {
    if (!process.background || manager.exec(process.id)) continue;
    model::ExecRecord exec;
    exec.id = process.id;
    exec.sandbox_id = sandbox.id;
    exec.tenant_id = sandbox.tenant_id;
    exec.command = model::utf8_prefix(process.command, model::kMaxExecCommandBytes);
    exec.started_ms = process.started_ms;
    exec.background = true;
    exec.pty = process.terminal;
    manager.events().record(exec);
    watch_end(manager, sandbox, exec);
  }
}

/// What goes wrong with one sandbox is no failure of the others; nor is one that has just ended any failure.
template <class F>
void each_by_itself(const std::string& sandbox, std::vector<std::string>& problems, F act) {
  try {
    act();
  } catch (const Error& error) {
    const bool gone = error.code() == Code::not_found || error.code() == Code::conflict || error.code() == Code::closed;
    if (!gone) problems.push_back(sandbox + ": " + error.message());
  }
}

}  // namespace

std::vector<std::string> Gate::adopt_commands() {
  std::vector<std::string> problems;
  store::Store::ExecQuery query;
  query.state = store::Store::ExecState::running;
  query.limit = model::kMaxListLimit;
  for (;;) {
    const std::vector<model::ExecRecord> page = manager_.execs(query);
    for (const model::ExecRecord& exec : page) {
      query.after = exec.id;
      each_by_itself(exec.sandbox_id, problems, [&] { watch_end(manager_, manager_.get(exec.sandbox_id), exec); });
    }
    if (page.size() < query.limit) break;
  }
  for (std::string after;;) {
    const std::vector<model::SandboxRecord> page = manager_.list(model::kMaxListLimit, after);
    for (const model::SandboxRecord& sandbox : page) {
      after = sandbox.id;
      each_by_itself(sandbox.id, problems, [&] { watch_unrecorded(manager_, sandbox); });
    }
    if (page.size() < model::kMaxListLimit) return problems;
  }
}

}  // namespace svm::gate
