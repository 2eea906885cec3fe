// The library, opened at a location.
#pragma once
#include <stacyvm/stacyvm.hpp>

#include "location.hpp"
#include "signals.hpp"

namespace cli {

class Connection {
 public:
  enum class Missing { is_an_error, is_made };  ///< A state directory that is not there.
  /// A directory's sandboxes outlive us. Throws stacyvm::Error, and what location_of throws.
  explicit Connection(const ClientOptions& options, Missing missing = Missing::is_an_error);
  /// As above; a signal ends the waiting: Interrupted.
  Connection(const ClientOptions& options, Signals& signals, Missing missing = Missing::is_an_error);

  stacyvm::Instance& instance() noexcept { return instance_; }
  stacyvm::Session& session() noexcept { return session_; }

 private:
  Connection(const Location& location, Signals* signals, Missing missing);
  stacyvm::Instance instance_;
  stacyvm::Session session_;
};

/// The sandbox of that name or id.
stacyvm::Sandbox sandbox_of(Connection& connection, const std::string& name);

}  // namespace cli
