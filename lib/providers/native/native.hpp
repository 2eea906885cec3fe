// The native provider: Linux namespaces through the launcher. As root or as an ordinary user.
#pragma once
#include <memory>
#include <string>

#include "channel/reactor.hpp"
#include "providers/provider.hpp"

namespace svm::providers::native {

/// `instance` names control groups. Throws Error (fact step) when this host cannot run native sandboxes at all. The launcher is started here and
/// again by launch() if it was killed. The reactor must outlive the provider.
std::unique_ptr<Provider> create(channel::Reactor& reactor, const std::string& instance);

}  // namespace svm::providers::native
