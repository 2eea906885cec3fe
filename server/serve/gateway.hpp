// Every request's way: whose page sent it, a preflight, the key, the route, and then the library, in the form that the route names.
#pragma once
#include <stacyvm/stacyvm.hpp>

#include <memory>
#include <string>

#include "../http/exchange.hpp"
#include "config.hpp"
#include "request_log.hpp"
#include "routes.hpp"

namespace serve {

/// One request that was let in.
struct Call {
  const Route& route;
  std::shared_ptr<stacyvm::Session> session;  // whoever goes on after the handler keeps it
  http::Pairs pairs;                          // of the path, then of the query
  std::string request_id;
};

class Gateway final : public http::Handler {
 public:
  /// All outlive it.
  Gateway(stacyvm::Instance& instance, const Config& config, const RequestLog& log);

  void serve(http::Exchange& exchange) override;
  void converse(http::Exchange& exchange, http::Socket& socket) override;
  std::string refusal(int status, std::string_view why, std::string& request_id) override;
  void served(const http::Outcome& outcome) noexcept override { log_.served(outcome); }
  void failed(const std::string& request_id, std::string_view why) noexcept override { log_.failed(request_id, why); }

 private:
  bool origin_allowed(const http::Exchange& exchange, const std::string& origin) const;
  bool host_allowed(const http::Exchange& exchange) const;
  enum class Admitted : uint8_t { yes, no_key, wrong_key };
  Admitted admit(const http::Exchange& exchange, Access access) const;
  Call open(http::Exchange& exchange, Match match, std::string request_id);

  bool has_keys() const noexcept { return !config_.api_key.empty() || !config_.admin_api_key.empty(); }
  void act(http::Exchange& exchange, const Call& call) const;

  stacyvm::Instance& instance_;
  const Config& config_;
  const RequestLog& log_;
  const std::string openapi_;
};

/// {"code", "message", "request_id"}, of the library's errors with their "details".
std::string error_body(std::string_view code, std::string_view message, const std::string& request_id);
std::string error_body(const stacyvm::Error& error, const std::string& request_id);

}  // namespace serve
