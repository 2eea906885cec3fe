// One question to an agent and everything that comes back, for operations that answer with a whole.
#pragma once
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "channel/channel.hpp"
#include "channel/reactor.hpp"
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

/// All that an operation has to ask the agent.
struct Question {
  Message message;
  std::string_view input;  // sent after it, then its end; lives as long as the request
  bool closes = false;     // the end is sent also where there is no input
  Bounds bounds;
};

struct Answer {
  std::string out, err, entries;
  std::string body;  // of the Result
};

/// Asks, and collects until the Result. Throws the Error that a failed Result stands for; Error timeout, after cancelling, beyond the
/// bounds' times.
Answer exchange(providers::Session& session, Question question);

/// The same without a thread that waits: what comes is collected on the thread that brings it.
class Exchange {
 public:
  virtual ~Exchange() = default;
  /// Has the answer, or what exchange() would have thrown. Must not throw or block.
  using Done = std::function<void(Answer answer, std::exception_ptr failure)>;
  /// Throws where the question cannot even be sent. `done` runs once, on any thread, perhaps before this returns.
  static std::shared_ptr<Exchange> start(providers::Session& session, Question question, channel::Reactor& reactor, Done done);
  /// Asks the agent to stop; the answer then says so. Any thread.
  virtual void cancel() noexcept = 0;
};

/// The Error that a Result other than ok stands for.
Error result_error(const protocol::Result& result);
/// Throws Error internal: the agent answered with something that its protocol does not allow.
[[noreturn]] void malformed_answer();

}  // namespace svm::gate
