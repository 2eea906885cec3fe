// The one way to the manager. Every operation, typed or JSON, passes the same stages in the same order; `kStages` is that order.
#pragma once
#include <array>
#include <memory>
#include <string>
#include <string_view>

#include "channel/channel.hpp"
#include "manager/manager.hpp"
#include "model/fields.hpp"
#include "ops/operations.hpp"

namespace svm::gate {

/// The stages a call passes. Those whose subject does not exist yet (rates, policy, quota) are not here until it does.
inline constexpr std::array<std::string_view, 7> kStages = {"scope", "decode", "object", "resolve", "reserve", "run", "audit"};

using Pairs = model::Pairs;  // path and query parameters

/// Thread-safe; stateless but for what it was given. Functions throw Error; a denial is audited like a success. The manager must outlive
/// the gate and every stream that came from it. A caller without scopes may do nothing, also a local one: sessions give "*" to theirs.
class Gate {
 public:
  explicit Gate(manager::Manager& manager) noexcept : manager_(manager) {}

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

  manager::Manager& manager() noexcept { return manager_; }

 private:
  manager::Manager& manager_;
};

/// JSON array: every operation with name, scope, effect, shape, doc, and the JSON Schemas of request and response.
std::string describe_operations();

}  // namespace svm::gate
