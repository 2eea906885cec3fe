#include "events/event.hpp"
#include "gate/handlers.hpp"
#include "model/fields.hpp"

namespace svm::gate {

NoPlan Handler<ops::EventFollow>::resolve(Act&, model::EventFollowRequest& request) {
  for (const std::string& type : request.types)
    if (!events::is_type(type)) model::refuse_field("types", "has one that there is not");
  return {};
}

// A caller without a tenant sees every event; one with a tenant those of its own sandboxes.
std::shared_ptr<channel::Stream> Handler<ops::EventFollow>::run(Act& act, model::EventFollowRequest& request, NoPlan&) {
  return act.manager.events().follow({std::move(request.types), std::move(request.sandbox_id), act.caller.tenant}, request.after);
}

}  // namespace svm::gate
