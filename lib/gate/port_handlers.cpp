#include "core/error.hpp"
#include "gate/handlers.hpp"
#include "model/limits.hpp"

namespace svm::gate {
namespace {

static_assert(model::kMaxPort == protocol::kMaxPort);
static_assert(model::kMaxPorts == protocol::kMaxListeners);

}  // namespace

Message Handler<ops::PortDial>::resolve(Act&, model::PortDialRequest& request) {
  return message(protocol::Op::dial, protocol::DialRequest{request.port, request.path, request.user});
}
std::shared_ptr<channel::Stream> Handler<ops::PortDial>::run(Act& act, model::PortDialRequest& request, Message& plan) {
  return act.manager.session(request.id)->request(plan.op, std::move(plan.payload));
}

Question Handler<ops::PortWait>::resolve(Act&, model::PortWaitRequest& request) {
  if (request.timeout_ms == 0) request.timeout_ms = model::kDefaultPortWaitMs;
  const protocol::ListeningRequest listening{request.port, request.path, static_cast<uint64_t>(request.timeout_ms), request.user};
  return {message(protocol::Op::listening, listening), {}, false, {0, request.timeout_ms + kTimeoutGraceMs, -1}};
}
model::Status Handler<ops::PortWait>::answer(Act&, model::PortWaitRequest&, Answer&&) { return {"listening"}; }

Question Handler<ops::PortList>::resolve(Act&, model::PortListRequest&) {
  return {message(protocol::Op::listening, protocol::ListeningRequest{}), {}, false, {0, -1, kFileIdleMs}};
}
model::PortList Handler<ops::PortList>::answer(Act&, model::PortListRequest&, Answer&& answer) {
  protocol::Listeners listeners;
  if (!protocol::decode(answer.body, listeners)) malformed_answer();
  model::PortList list;
  for (protocol::Listener& listener : listeners.items) list.items.push_back({listener.port, listener.uid, std::move(listener.address)});
  return list;
}

}  // namespace svm::gate
