// The one way to the manager. Every operation, typed or JSON, passes the same stages in the same order; `kStages` is that order.
#pragma once
#include <array>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "channel/channel.hpp"
#include "gate/meters.hpp"
#include "manager/manager.hpp"
#include "model/fields.hpp"
#include "ops/operations.hpp"

namespace svm::gate {

/// The stages a call passes. Those whose subject does not exist yet (rates, policy, quota) are not here until it does.
inline constexpr std::array<std::string_view, 7> kStages = {"scope", "decode", "object", "resolve", "reserve", "run", "audit"};

using Pairs = model::Pairs;  // path and query parameters

/// A call that goes on without a thread.
class Running {
 public:
  virtual ~Running() = default;
  /// Asks the sandbox to stop what the call started; the call then ends with what came of it. Any thread; nothing after the end.
  virtual void cancel() noexcept = 0;
};
/// A call by name that outlives its caller's memory.
struct OwnedCall {
  model::Identity caller;
  std::string operation, body;
  std::vector<std::pair<std::string, std::string>> pairs;
};
/// Runs a job later, or now where it cannot; must not throw.
using Executor = std::function<void(std::function<void()>)>;
/// What became of a call: its JSON, or a failure. Must not throw.
using Done = std::function<void(std::string json, std::exception_ptr failure)>;

/// Thread-safe; it counts what it lets through, and is stateless otherwise. Functions throw Error; a denial is audited like a success. The manager must outlive
/// the gate and every stream that came from it. A caller without scopes may do nothing, also a local one: sessions give "*" to theirs.
class Gate {
 public:
  explicit Gate(manager::Manager& manager) : manager_(manager), meters_(std::tuple_size_v<ops::All>) {}

  /// A unary operation with a typed request: O is a type of ops::All.
  template <class O>
  typename O::Response run(const model::Identity& caller, typename O::Request request);
  /// A stream-shaped operation with a typed request. The outcome is audited when the stream ends or is dropped.
  template <class O>
  std::shared_ptr<channel::Stream> start(const model::Identity& caller, typename O::Request request);

  /// The JSON door: decodes pairs and body into the operation's Request and answers its Response as JSON. Unknown name: Error not_found,
  /// fact "operation". A stream-shaped operation here, or a unary one in call_stream: Error invalid.
  std::string call(const model::Identity& caller, std::string_view operation, const Pairs& pairs, std::string_view body);
  std::shared_ptr<channel::Stream> call_stream(const model::Identity& caller, std::string_view operation, const Pairs& pairs, std::string_view body);

  /// call() without waiting for a sandbox: passes the stages before `run`, asks, and returns; the rest happens on `execute`. An operation that
  /// holds_thread() is done within. `done` is called exactly once, perhaps before this returns; what call() would throw goes there.
  std::shared_ptr<Running> begin(OwnedCall call, Executor execute, Done done);
  /// Whether begin() of this operation waits until it has ended. False for unknown names.
  static bool holds_thread(std::string_view operation) noexcept;

  /// Once, when the manager has adopted sandboxes of a former owner: from here on the ends of their commands are recorded. Those that ended with
  /// that owner are recorded as lost.
  /// Answers a line for each sandbox that could not be asked: that is no reason not to have the others.
  std::vector<std::string> adopt_commands();

  manager::Manager& manager() noexcept { return manager_; }

 private:
  manager::Manager& manager_;
  Meters meters_;
};

/// JSON array: every operation with name, scope, effect, shape, doc, media type of the answer where there is one, and the JSON Schemas of request and response.
std::string describe_operations();

}  // namespace svm::gate
