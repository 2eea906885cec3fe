// The native provider: Linux namespaces through the launcher. As root or as an ordinary user.
#pragma once
#include <memory>
#include <string>

#include "channel/reactor.hpp"
#include "providers/provider.hpp"

namespace svm::providers::native {

/// `instance` names control groups. Throws Error (fact step) when this host cannot run native sandboxes at all. The launcher is started here and
/// again by launch() if it was killed. The reactor must outlive the provider.
/// `state_directory` ("": none): where a launcher of a former owner may wait, which is then taken over (see Provider::adopt); its lock is held. `detached`:
/// sandboxes outlive this process. Error conflict when that launcher refuses.
std::unique_ptr<Provider> create(channel::Reactor& reactor, const std::string& instance, const std::string& state_directory, bool detached);

}  // namespace svm::providers::native
