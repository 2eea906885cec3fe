// Waiting for the library and for the client at once, so that nothing goes on for a client who has gone.
#pragma once
#include <stacyvm/stacyvm.hpp>

#include <chrono>
#include <string>

#include "../http/exchange.hpp"

namespace serve {

inline constexpr std::chrono::seconds kSilence{10};  // after which a quiet answer says something harmless: clients count the gap between bytes

enum class Came : uint8_t { ready, silence, client_gone, stopping };

/// Until `ready` (a descriptor) is readable, the client is gone, the server ends (`stop`, -1: does not matter), or kSilence has passed.
Came wait_for(int ready, int client, int stop);

/// Waits for a call; cancels it when the client goes. Throws stacyvm::Error: what the call failed with, or CANCELLED.
std::string finish(stacyvm::Op& op, int client);

}  // namespace serve
