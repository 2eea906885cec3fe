// What `stacyvm serve` is told: stacyvm.yaml, and the environment over it.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace serve {

struct Config {
  std::string host = "127.0.0.1";
  uint16_t port = 7423;
  std::optional<std::vector<std::string>> cors_allowed_origins;  // "https://app.example"; "*": any. Nothing: any, where there is a key
  std::string tls_cert_file, tls_key_file;
  uint32_t max_connections = 1'024, max_connections_per_address = 768;
  int64_t shutdown_timeout_ms = 10'000;
  std::string state_dir;  // "": default_state_dir()
  std::string api_key, admin_api_key;
  std::string log_level = "info";
  std::string settings;   // what is the library's: stacyvm_options.settings, as JSON
};

/// Where the state is without server.state_dir: /var/lib/stacyvm for root, else $XDG_STATE_HOME/stacyvm or ~/.local/state/stacyvm.
std::string default_state_dir();

/// Reads the file ("": ./stacyvm.yaml if there is one, else defaults) and the environment. Throws std::runtime_error with one sentence that names the file
/// and line, or the variable, and the key.
Config load_config(const std::string& file);

/// The same of texts. `name` stands for the file in messages. `environment`: STACYVM_SERVER_PORT is server.port; others and empty ones are ignored.
Config parse_config(const std::string& yaml, const std::string& name, const std::map<std::string, std::string>& environment);

/// Whether a name stands for this machine alone: 127.0.0.0/8, ::1 (in brackets or not), localhost and what is under it.
bool is_loopback_name(std::string_view name);

/// Refuses what would be unsafe: an address that others can reach, without a key. Throws std::runtime_error that says what to do.
void check_exposure(const Config& config);

}  // namespace serve
