// Which sandboxes a client verb is about: those of a server, or of a state directory.
#pragma once
#include <string>

namespace cli {

/// As given on the command line; empty: not given.
struct ClientOptions {
  std::string server, api_key, api_key_file, ca_file;
  bool json = false;
};

/// What the options and the environment (STACYVM_URL, STACYVM_API_KEY, STACYVM_CA_FILE) say together.
struct Location {
  std::string address;  ///< A server's, or the absolute path of a directory.
  bool is_server = false;
  std::string api_key;  ///< Empty: none.
  std::string ca_file;  ///< Absolute; empty: the system's certificates.

  /// The address as it may be shown: without a user's name and password.
  std::string shown() const;
  /// Of a server's address: beyond the root.
  bool has_path() const;
};

/// Throws std::invalid_argument for options that do not fit together, and std::runtime_error for a file that cannot be read. No message has the key.
Location location_of(const ClientOptions& options);

}  // namespace cli
