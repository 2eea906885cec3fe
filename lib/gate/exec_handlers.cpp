#include "core/error.hpp"
#include "core/id.hpp"
#include "gate/handlers.hpp"
#include "gate/observed.hpp"
#include "model/fields.hpp"
#include "model/limits.hpp"
#include "protocol/launch.hpp"

namespace svm::gate {
namespace {

// What the model accepts the agent accepts: the two sets of limits are the same.
static_assert(model::kMaxArgumentBytes + 1 == protocol::kMaxArgBytes);
static_assert(model::kMaxArgs + 1 == protocol::kMaxArgs);
static_assert(model::kMaxEnv == protocol::kMaxEnv);
static_assert(model::kMaxExecBytes == protocol::kMaxExecBytes);
static_assert(model::kMaxNameBytes == protocol::kMaxUserBytes);
static_assert(model::kMaxPathBytes == protocol::kMaxPathBytes);
static_assert(model::kMaxMounts == protocol::kMaxMounts);
static_assert(model::kMaxTerminalSide == protocol::kMaxTerminalSide);
static_assert(model::kMinRingBytes == protocol::kMinRingBytes && model::kMaxRingBytes == protocol::kMaxRingBytes);
static_assert(model::kMaxIdBytes == protocol::kMaxExecIdBytes);

// A command without a timeout has the sandbox's, or the settings'; -1 is none whatever those say, unless there is a maximum.
void fill_timeout(const Act& act, model::ExecRequest& request) {
  const model::Defaults& defaults = act.manager.settings().defaults;
  const int64_t most = defaults.max_exec_timeout_ms;
  if (most != 0 && (request.timeout_ms < 0 || request.timeout_ms > most)) throw manager::beyond("timeout", most);
  if (request.timeout_ms == 0) request.timeout_ms = act.object.timeout_ms;
  if (request.timeout_ms == 0) request.timeout_ms = defaults.default_exec_timeout_ms;
  if (request.timeout_ms < 0) request.timeout_ms = 0;
  // Also of a sandbox that was made when the maximum was another.
  if (most != 0 && (request.timeout_ms == 0 || request.timeout_ms > most)) request.timeout_ms = most;
}

// What the agent is asked for. Gives the command its id.
protocol::ExecRequest to_protocol(Act& act, const model::ExecRequest& request) {
  protocol::ExecRequest exec;
  exec.id = act.exec_id = random_id(kExecPrefix);
  if (request.mode == "argv") {
    exec.argv.reserve(request.args.size() + 1);
    exec.argv.push_back(request.command);
    exec.argv.insert(exec.argv.end(), request.args.begin(), request.args.end());
  } else {
    exec.shell = model::shell_join(request.command, request.args);
  }
  exec.env.assign(request.env.begin(), request.env.end());
  exec.cwd = request.workdir;
  exec.user = request.user;
  exec.use_stdin = request.use_stdin || !request.stdin_data.empty();
  exec.merge = request.merge;
  exec.timeout_ms = static_cast<uint64_t>(request.timeout_ms);
  exec.output_limit = request.output_limit;
  exec.terminal = request.tty;
  exec.rows = request.rows;
  exec.columns = request.cols;
  exec.background = request.background;
  exec.ring_bytes = request.ring_bytes;
  return exec;
}

}  // namespace

std::string_view exec_reason_name(protocol::ExecReason reason) noexcept {
  switch (reason) {
    case protocol::ExecReason::exited: return "exited";
    case protocol::ExecReason::signalled: return "signalled";
    case protocol::ExecReason::timeout: return "timeout";
    case protocol::ExecReason::oom: return "oom";
    case protocol::ExecReason::output_limit: return "output_limit";
    case protocol::ExecReason::cancelled: return "cancelled";
  }
  return "unknown";
}

std::string exec_detail(std::string_view exec_id, std::string detail) {
  if (exec_id.empty()) return detail;
  return detail.empty() ? std::string(exec_id) : std::string(exec_id) + ' ' + detail;
}

std::string exec_summary(std::string_view reason, int32_t exit_code) { return std::string(reason) + ' ' + std::to_string(exit_code); }

Question Handler<ops::ExecRun>::resolve(Act& act, model::ExecRequest& request) {
  fill_timeout(act, request);
  if (request.use_stdin) model::refuse_field("use_stdin", "is for exec.start; give stdin here");
  if (request.tty) model::refuse_field("tty", "is for exec.start");
  if (request.background) model::refuse_field("background", "is for exec.start");
  if (request.output_limit == 0) request.output_limit = model::kDefaultUnaryOutput;
  if (request.output_limit > model::kMaxUnaryOutput)
    model::refuse_field("output_limit", "must be at most " + std::to_string(model::kMaxUnaryOutput) + " for an answer in one piece", model::kMaxUnaryOutput);
  // The agent keeps the timeout and the limit; these bounds are for one that does not.
  const Bounds bounds{static_cast<size_t>(request.output_limit) + protocol::kWindow, request.timeout_ms > 0 ? request.timeout_ms + kTimeoutGraceMs : -1, -1};
  return {message(protocol::Op::exec, to_protocol(act, request)), request.stdin_data, false, bounds};
}

void Handler<ops::ExecRun>::asked(Act& act, model::ExecRequest& request) {
  act.witness = std::make_shared<Witness>(act.manager.events(), act.object);
  act.witness->exec_started(act.exec_id, request);
}

void Handler<ops::ExecRun>::failed(Act& act, const Error& error) { act.witness->exec_failed(error.code(), error.message()); }

model::ExecResponse Handler<ops::ExecRun>::answer(Act& act, model::ExecRequest&, Answer&& answer) {
  protocol::ExecResult result;
  if (!protocol::decode(answer.body, result)) malformed_answer();
  act.witness->exec_ended(act.manager, result);
  model::ExecResponse response;
  response.exec_id = act.exec_id;
  response.exit_code = result.exit_code;
  response.signal = result.signal;
  response.out = std::move(answer.out);
  response.err = std::move(answer.err);
  response.reason = exec_reason_name(result.reason);
  response.wall_us = static_cast<int64_t>(result.wall_us);
  response.cpu_us = static_cast<int64_t>(result.cpu_us);
  response.memory_peak = result.memory_peak;
  return response;
}

Message Handler<ops::ExecStart>::resolve(Act& act, model::ExecRequest& request) {
  fill_timeout(act, request);
  if (!request.stdin_data.empty()) model::refuse_field("stdin", "is for exec.run; set use_stdin and write to the stream here");
  return message(protocol::Op::exec, to_protocol(act, request));
}

std::shared_ptr<channel::Stream> Handler<ops::ExecStart>::run(Act& act, model::ExecRequest& request, Message& plan) {
  Witness witness(act.manager.events(), act.object);
  const std::shared_ptr<providers::Session> session = act.manager.session(request.id);
  std::shared_ptr<channel::Stream> own = session->request(plan.op, std::move(plan.payload));
  std::shared_ptr<channel::Stream> attached;
  if (request.background) {
    // The agent takes requests in their order: the command is there, or why it is not, when this one comes.
    Message attach = message(protocol::Op::attach, protocol::AttachRequest{act.exec_id, 0, false});
    attached = session->request(attach.op, std::move(attach.payload));
  }
  witness.exec_started(act.exec_id, request);
  own = std::make_shared<ObservedStream>(std::move(own), [witness, &manager = act.manager](const protocol::Result* result, const Counts& counts) {
    protocol::ExecResult exec;
    if (result && result->code == Code::ok && protocol::decode(result->body, exec))
      witness.exec_ended(manager, exec);
    else if (result && result->code != Code::ok)
      witness.exec_failed(result->code, result->message, counts);
    else
      witness.exec_failed(Code::cancelled, "its stream was closed", counts);
  });
  if (!attached) return own;
  act.background = std::move(own);
  return attached;
}

}  // namespace svm::gate
