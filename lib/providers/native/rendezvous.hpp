// Where a launcher that outlives its host is found again.
#pragma once
#include <string>

#include "core/fd.hpp"

namespace svm::providers::native {

/// `<state directory>/run` (0700) with the instance's key (0600, made at the first use) and the socket on which the launcher hears of a new owner.
/// The caller holds the directory's lock, so there is one of these at a time.
class Rendezvous {
 public:
  /// Throws Error: io, forbidden where the directory or the key is open to others, conflict where the key is damaged.
  explicit Rendezvous(const std::string& state_directory);
  /// protocol::kOwnerKeyBytes random bytes. Known to whoever may read the state directory, and to the launcher.
  const std::string& key() const noexcept { return key_; }
  /// A connection to the launcher that listens; not valid when there is none.
  Fd connect() const;
  /// A listening socket in the place of whatever was there.
  Fd listen() const;

 private:
  Fd directory_;
  std::string key_;
};

}  // namespace svm::providers::native
