// A server's operations, under the names and with the requests and answers that they have here. What the server refuses is thrown as it would be here.
#pragma once
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "channel/channel.hpp"
#include "channel/reactor.hpp"
#include "core/error.hpp"
#include "core/id.hpp"
#include "model/answers.hpp"
#include "model/limits.hpp"
#include "net/http_client.hpp"
#include "ops/operations.hpp"
#include "remote/caller.hpp"

namespace svm::remote {

using Pairs = model::Pairs;

/// Thread-safe. A call blocks its thread; streams share one thread, which is the reactor's. Throws Error: what the server answers; unavailable, timeout
/// and io as net::HttpClient.
class Client {
 public:
  Client(net::ServerAddress address, net::HttpOptions options) : http_(std::move(address), std::move(options)) {}
  ~Client() { reactor_.stop(); }

  /// A unary operation: O is a type of ops::All.
  template <class O>
  typename O::Response run(const Caller& caller, const typename O::Request& request) {
    model::validate(request);  // also what JSON could not say is refused as it would be here
    auto answer = model::decode_answer<typename O::Response>(call(caller, O::row.name, {}, model::encode(request)));
    if constexpr (std::is_same_v<typename O::Response, model::SandboxInfo>)
      if (!is_random_id(model::kIdPrefix, answer.record.id)) throw Error(Code::io, "the server's answer has no sandbox's id");
    return answer;
  }
  template <class O>
  std::shared_ptr<channel::Stream> start(const Caller& caller, const typename O::Request& request) {
    model::validate(request);
    return call_stream(caller, O::row.name, {}, model::encode(request));
  }
  /// Ends every call that is under way, and refuses further ones: Error closed. Streams are not touched.
  void stop() noexcept;

  /// `interrupt` may be null: ends the call, and with it what the server does for it.
  std::string call(const Caller& caller, std::string_view operation, const Pairs& pairs, std::string_view body, net::Interrupt* interrupt = nullptr);
  /// Waits until the server has begun with it: what is refused at once is thrown here.
  std::shared_ptr<channel::Stream> call_stream(const Caller& caller, std::string_view operation, const Pairs& pairs, std::string_view body);

 private:
  /// A call that is under way: stop() reaches it.
  class Call;
  bool stopped() const noexcept;

  mutable std::mutex mutex_;
  std::unordered_set<net::Interrupt*> calls_;
  bool stopped_ = false;
  net::HttpClient http_;
  channel::Reactor reactor_;
};

}  // namespace svm::remote
