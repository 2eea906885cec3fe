// One request to an agent and everything that comes back, for operations that answer with a whole.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "channel/channel.hpp"
#include "core/error.hpp"
#include "protocol/message.hpp"
#include "providers/provider.hpp"

namespace svm::gate {

/// An agent that says nothing for this long is taken for stuck. Commands may be silent for ever; file operations may not.
inline constexpr int64_t kFileIdleMs = 60'000;
/// How much later than a command's own timeout its result may come.
inline constexpr int64_t kTimeoutGraceMs = 10'000;

/// What is sent: the operation, its encoded request, and the bytes that follow it.
struct Message {
  protocol::Op op{};
  std::string payload;
};
template <class R>
Message message(protocol::Op op, const R& request) {
  Message made{op, {}};
  protocol::encode(made.payload, request);
  return made;
}

struct Bounds {
  size_t most = 0;         // bytes of everything that may come back; an agent that sends more broke its promise
  int64_t total_ms = -1;   // -1: no bound
  int64_t idle_ms = -1;
};

struct Answer {
  std::string out, err, entries;
  std::string body;  // of the Result
};

/// Sends the message and `input` (then its end, where there is any or `closes`), and collects until the Result. Throws the Error that a failed Result
/// stands for; Error timeout, after cancelling, beyond the bounds' times.
Answer exchange(providers::Session& session, Message message, std::string_view input, bool closes, const Bounds& bounds);

/// The Error that a Result other than ok stands for.
Error result_error(const protocol::Result& result);
/// Throws Error internal: the agent answered with something that its protocol does not allow.
[[noreturn]] void malformed_answer();

}  // namespace svm::gate
