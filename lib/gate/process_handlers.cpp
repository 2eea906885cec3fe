// What acts on a command by its id, and the console.
#include <algorithm>
#include <csignal>

#include "core/id.hpp"
#include "gate/handlers.hpp"
#include "model/fields.hpp"
#include "model/limits.hpp"
#include "model/utf8.hpp"

namespace svm::gate {
namespace {

constexpr std::string_view kReplacement = "\xef\xbf\xbd";  // U+FFFD

/// Only what can be an id is asked for, and enters the log.
void check_exec_id(Act& act, const std::string& exec_id) {
  if (!is_random_id(kExecPrefix, exec_id)) throw Error(Code::not_found, "no such command").with("field", "exec_id");
  act.exec_id = exec_id;
}

template <class R>
Question question(protocol::Op op, const R& request) {
  return {message(op, request), {}, false, {0, -1, kFileIdleMs}};
}

model::ProcessInfo to_model(const protocol::ProcessInfo& from) {
  model::ProcessInfo to;
  to.exec_id = from.id;
  to.command = from.command;
  to.pid = from.pid;
  to.started_ms = from.started_ms;
  to.background = from.background;
  to.tty = from.terminal;
  to.output_bytes = from.output;
  to.lost_bytes = from.lost;
  to.attached = from.attached;
  to.state = from.running ? "running" : from.code == 0 ? "ended" : "failed";
  if (to.state != "ended") return to;
  to.reason = exec_reason_name(from.result.reason);
  to.exit_code = from.result.exit_code;
  to.signal = from.result.signal;
  to.wall_us = static_cast<int64_t>(from.result.wall_us);
  to.cpu_us = static_cast<int64_t>(from.result.cpu_us);
  to.memory_peak = from.result.memory_peak;
  return to;
}

std::string as_utf8(std::string_view bytes) {
  std::string text;
  while (!bytes.empty()) {
    const size_t size = model::utf8_character(bytes);
    text += size > 0 ? bytes.substr(0, size) : kReplacement;
    bytes.remove_prefix(size > 0 ? size : 1);
  }
  return text;
}

/// The console until now: both outputs in their order.
std::string read_console(providers::Session& session, uint64_t lines) {
  Message ask = message(protocol::Op::console, protocol::ConsoleRequest{lines, false});
  const std::shared_ptr<channel::Stream> stream = session.request(ask.op, std::move(ask.payload));
  std::string text;
  for (channel::Piece piece;;) {
    switch (stream->next(kFileIdleMs, piece)) {
      case channel::Stream::Next::again: throw Error(Code::timeout, "the sandbox did not answer in time");
      case channel::Stream::Next::piece:
        if (piece.kind != protocol::DataKind::gap) text += piece.data;
        if (text.size() > protocol::kWindow) malformed_answer();
        continue;
      case channel::Stream::Next::half: malformed_answer();
      case channel::Stream::Next::end: break;
    }
    const protocol::Result* result = stream->result();
    if (!result) malformed_answer();
    if (result->code != Code::ok) throw result_error(*result);
    return text;
  }
}

}  // namespace

Message Handler<ops::ExecAttach>::resolve(Act& act, model::ExecAttachRequest& request) {
  check_exec_id(act, request.exec_id);
  const uint64_t from = request.from_offset >= INT64_MAX ? UINT64_MAX : request.from_offset;
  return message(protocol::Op::attach, protocol::AttachRequest{request.exec_id, from, false});
}
std::shared_ptr<channel::Stream> Handler<ops::ExecAttach>::run(Act& act, model::ExecAttachRequest& request, Message& plan) {
  return act.manager.session(request.id)->request(plan.op, std::move(plan.payload));
}

Question Handler<ops::ExecProcesses>::resolve(Act&, model::SandboxIdRequest&) {
  return question(protocol::Op::process_list, protocol::ProcessListRequest{});
}
model::ProcessList Handler<ops::ExecProcesses>::answer(Act&, model::SandboxIdRequest&, Answer&& answer) {
  std::vector<protocol::ProcessInfo> processes;
  if (!protocol::decode_processes(answer.body, processes)) malformed_answer();
  model::ProcessList list;
  list.items.reserve(processes.size());
  for (const protocol::ProcessInfo& process : processes) list.items.push_back(to_model(process));
  return list;
}

Question Handler<ops::ExecSignal>::resolve(Act& act, model::ExecSignalRequest& request) {
  check_exec_id(act, request.exec_id);
  return question(protocol::Op::process_signal,
                  protocol::ProcessSignalRequest{request.exec_id, request.signal, request.group ? protocol::kSignalGroup : 0, 0, 0});
}
model::Status Handler<ops::ExecSignal>::answer(Act&, model::ExecSignalRequest&, Answer&&) { return {"signalled"}; }

Question Handler<ops::ExecKill>::resolve(Act& act, model::ExecKillRequest& request) {
  check_exec_id(act, request.exec_id);
  return question(protocol::Op::process_signal, protocol::ProcessSignalRequest{request.exec_id, SIGKILL, protocol::kSignalTree, 0, 0});
}
model::Status Handler<ops::ExecKill>::answer(Act&, model::ExecKillRequest&, Answer&&) { return {"killed"}; }

Question Handler<ops::ExecResize>::resolve(Act& act, model::ExecResizeRequest& request) {
  check_exec_id(act, request.exec_id);
  return question(protocol::Op::process_signal, protocol::ProcessSignalRequest{request.exec_id, 0, 0, request.rows, request.cols});
}
model::Status Handler<ops::ExecResize>::answer(Act&, model::ExecResizeRequest&, Answer&&) { return {"resized"}; }

NoPlan Handler<ops::SandboxLogs>::resolve(Act&, model::LogsRequest& request) {
  if (request.lines == 0) request.lines = model::kDefaultLogLines;
  return {};
}
model::LogLines Handler<ops::SandboxLogs>::run(Act& act, model::LogsRequest& request, NoPlan&) {
  const std::string text = read_console(*act.manager.session(request.id), request.lines);
  model::LogLines answer;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    answer.lines.push_back(as_utf8(std::string_view(text).substr(at, end - at)));
    at = end + 1;
  }
  // Lines that came after the count was taken.
  if (answer.lines.size() > request.lines) answer.lines.erase(answer.lines.begin(), answer.lines.end() - request.lines);
  return answer;
}

Message Handler<ops::SandboxConsole>::resolve(Act&, model::ConsoleRequest& request) {
  return message(protocol::Op::console, protocol::ConsoleRequest{UINT64_MAX, request.follow});
}
std::shared_ptr<channel::Stream> Handler<ops::SandboxConsole>::run(Act& act, model::ConsoleRequest& request, Message& plan) {
  return act.manager.session(request.id)->request(plan.op, std::move(plan.payload));
}

}  // namespace svm::gate
