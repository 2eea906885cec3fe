// stacyvm.yaml and the environment over it: what each key takes, and how what it does not take is told.
#include "serve/config.hpp"

#include <doctest/doctest.h>

#include <stdexcept>
#include <string>

using namespace std::string_literals;
using serve::Config, serve::parse_config;
using Variables = std::map<std::string, std::string>;

namespace {

/// Why a configuration is refused; "" when it is not.
std::string refusal(const std::string& yaml, const Variables& environment = {}) {
  try {
    (void)parse_config(yaml, "x.yaml", environment);
    return "";
  } catch (const std::runtime_error& error) {
    return error.what();
  }
}
bool is_refused_at(const std::string& yaml, const std::string& where) {
  const std::string why = refusal(yaml);
  CHECK_MESSAGE(why.find('\n') == std::string::npos, why);
  return why.starts_with(where);
}

}  // namespace

TEST_CASE("without a file there are defaults") {
  for (const char* empty : {"", "\n", "# nothing\n", "---\n", "{}"}) {
    const Config config = parse_config(empty, "x.yaml", {});
    CHECK(config.host == "127.0.0.1");
    CHECK(config.port == 7423);
    CHECK_FALSE(config.cors_allowed_origins.has_value());
    CHECK(config.max_connections == 1'024);
    CHECK(config.max_connections_per_address == 768);
    CHECK(config.shutdown_timeout_ms == 10'000);
    CHECK(config.log_level == "info");
    CHECK(config.api_key.empty());
    CHECK(config.admin_api_key.empty());
  }
}

TEST_CASE("every key of the server") {
  const Config config = parse_config(
      "server:\n  host: '::1'\n  port: 0\n  cors_allowed_origins: [https://a.example, 'http://b:80', '*']\n  tls: {cert_file: c.pem, key_file: k.pem}\n"
      "  max_connections: 5\n  max_connections_per_address: 4\n  shutdown_timeout: 1m30s\n  state_dir: /state\n"
      "auth:\n  api_key: '0123'\n  admin_api_key: \"a:b\"\nlogging:\n  level: debug\n",
      "x.yaml", {});
  CHECK(config.host == "::1");
  CHECK(config.port == 0);
  CHECK(config.cors_allowed_origins == std::vector<std::string>{"https://a.example", "http://b:80", "*"});
  CHECK(config.tls_cert_file == "c.pem");
  CHECK(config.tls_key_file == "k.pem");
  CHECK(config.max_connections == 5);
  CHECK(config.max_connections_per_address == 4);
  CHECK(config.shutdown_timeout_ms == 90'000);
  CHECK(config.state_dir == "/state");
  CHECK(config.api_key == "0123");
  CHECK(config.admin_api_key == "a:b");
  CHECK(config.log_level == "debug");
}

TEST_CASE("numbers and durations at their limits and one beyond") {
  const auto server = [](const std::string& line) { return "server:\n  " + line + "\n"; };
  for (const char* good : {"port: 65535", "max_connections: 1", "max_connections: 65536", "max_connections_per_address: 65536", "shutdown_timeout: 0", "shutdown_timeout: 0s", "shutdown_timeout: 1h",
                           "shutdown_timeout: 60m", "shutdown_timeout: 500ms", "shutdown_timeout: 59m60s"})
    CHECK_MESSAGE(refusal(server(good)) == "", std::string(good));
  for (const char* bad : {"port: 65536", "port: -1", "port: x", "port: 1.0", "port: ''", "port: 0x10", "port: 99999999999999999999", "port: [1]", "port: [1, 2]", "port: {a: 1}", "port:", "max_connections: 0",
                          "max_connections: 65537", "max_connections_per_address: 0", "shutdown_timeout: 10", "shutdown_timeout: -1s", "shutdown_timeout: 1d", "shutdown_timeout: s", "shutdown_timeout: ''",
                          "shutdown_timeout: 1h1ms", "shutdown_timeout: 3600001ms", "shutdown_timeout: 1.5s", "shutdown_timeout: 99999999999999999999s", "shutdown_timeout: 1s s"})
    CHECK_MESSAGE(is_refused_at(server(bad), "x.yaml:2:"), std::string(bad) << ": " << refusal(server(bad)));
}

TEST_CASE("a refusal names file, line and key") {
  CHECK(refusal("server:\n  port: x\n") == "x.yaml:2: server.port: give a number from 0 to 65535");
  CHECK(refusal("a: 1\n") == "x.yaml:1: a: no such key");
  CHECK(refusal("server:\n  host: a\n\n  hots: b\n") == "x.yaml:4: server.hots: no such key");
  CHECK(refusal("\"a\\nb\": 1\n") == "x.yaml:1: a?b: no such key");
  CHECK(refusal("server:\n  PORT: 1\n") == "x.yaml:2: server.PORT: no such key");
  CHECK(is_refused_at("server: 5\n", "x.yaml:1: server: "));
  CHECK(is_refused_at("- a\n", "x.yaml:1: "));
  CHECK(is_refused_at("word\n", "x.yaml:1: "));
  CHECK(is_refused_at("server:\n  port: 1\n  port: 2\n", "x.yaml:"));
  CHECK(is_refused_at("logging:\n  level: loud\n", "x.yaml:2: logging.level: "));
  CHECK(is_refused_at("defaults:\n  memory_mb: much\n", "x.yaml:2: defaults.memory_mb: "));
  CHECK(is_refused_at("defaults:\n  memory_mb: [1, 2]\n", "x.yaml:2: defaults.memory_mb: "));
  CHECK(is_refused_at("images:\n  aliases:\n    a: [b]\n", "x.yaml:"));
  for (const char* origin : {"a.example", "ftp://a", "https://", "https://a/", "https://a/b", "https://a?b", "https://a b", "null", ""})
    CHECK_MESSAGE(is_refused_at("server:\n  cors_allowed_origins: [\""s + origin + "\"]\n", "x.yaml:2: server.cors_allowed_origins: "), std::string(origin));
  for (const char* broken : {"server: [\n", "server:\n\tport: 1\n", "\"\n", "a: b: c\n", "{", "*x\n", "server:\n  port: &a 1\n  host: *b\n"}) CHECK_MESSAGE(is_refused_at(broken, "x.yaml:"), std::string(broken));
  for (const char* list : {"auth:\n  api_key: [a]\n", "server:\n  host: [a]\n", "defaults:\n  image: [a]\n"}) CHECK_MESSAGE(refusal(list).ends_with(": give one value"), std::string(list));
  for (const char* image : {"b", "./b", "''"}) CHECK_MESSAGE(refusal("images:\n  aliases:\n    a: "s + image + "\n") == "x.yaml:2: images.aliases.a: give host or an absolute path", std::string(image));
  CHECK(refusal("server:\n  tls:\n    cert_file: a\n").find("server.tls") != std::string::npos);
  CHECK(refusal("server:\n  tls:\n    key_file: a\n").find("server.tls") != std::string::npos);
}

TEST_CASE("keys are what a header and the command line can give, up to their length and one beyond") {
  for (const char* name : {"api_key", "admin_api_key"}) {
    const auto auth = [&](const std::string& key) { return refusal("auth:\n  "s + name + ": \"" + key + "\"\n"); };
    for (const std::string& good : {"a"s, "!~"s, std::string(4096, 'k')}) CHECK(auth(good) == "");
    for (const std::string& bad : {""s, "a b"s, " a"s, "\\x7f"s, "\\t"s, "é"s, std::string(4097, 'k')}) CHECK(auth(bad) == "x.yaml:2: auth."s + name + ": give visible ASCII, 1 to 4,096 bytes, or leave it out");
  }
}

TEST_CASE("a section without anything in it is no error") {
  for (const char* section : {"server:\n", "server:\n  tls:\n", "auth:\n  # api_key: x\n", "logging:\n", "defaults:\n", "images:\n", "images:\n  aliases:\n"}) CHECK_MESSAGE(refusal(section) == "", std::string(section));
  CHECK(is_refused_at("servers:\n", "x.yaml:1: servers: no such key"));
}

TEST_CASE("one document, of a size that somebody could have written") {
  CHECK(is_refused_at("server:\n  port: 1\n---\nserver:\n  port: 2\n", "x.yaml: "));
  CHECK(is_refused_at(",&a", "x.yaml"));
  CHECK(is_refused_at("&a {b: *a}\n", "x.yaml:"));  // without an end
  CHECK(is_refused_at("server: &a {b: *a}\n", "x.yaml:"));
  std::string laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";  // ten times as many in each line
  for (int i = 1; i < 30; ++i) {
    const std::string former = "*a" + std::to_string(i - 1);
    laughs += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " {";
    for (int k = 0; k < 10; ++k) laughs += (k ? ", k" : "k") + std::to_string(k) + ": " + former;
    laughs += "}\n";
  }
  CHECK(is_refused_at(laughs, "x.yaml:"));
}

TEST_CASE("a key that is refused is not repeated") {
  CHECK(refusal("auth:\n  api_key: [secret, other]\n").find("secret") == std::string::npos);
  CHECK(refusal("auth:\n  api_key: {secret: other}\n").find("other") == std::string::npos);
}

TEST_CASE("the environment goes over the file") {
  const std::string yaml = "server:\n  port: 1\n  cors_allowed_origins: [https://a]\nauth:\n  api_key: file\n";
  const Config config = parse_config(yaml, "x.yaml", {{"STACYVM_SERVER_PORT", "2"}, {"STACYVM_AUTH_API_KEY", "environment"}, {"STACYVM_SERVER_CORS_ALLOWED_ORIGINS", "https://b,https://c"}, {"STACYVM_URL", "x"}});
  CHECK(config.port == 2);
  CHECK(config.api_key == "environment");
  CHECK(config.cors_allowed_origins == std::vector<std::string>{"https://b", "https://c"});
  CHECK(parse_config(yaml, "x.yaml", {{"STACYVM_SERVER_PORT", ""}}).port == 1);
  CHECK(parse_config("", "x.yaml", {{"STACYVM_AUTH_API_KEY", "a,b"}}).api_key == "a,b");
  CHECK(refusal("", {{"STACYVM_SERVER_PORT", "x"}}).starts_with("STACYVM_SERVER_PORT: server.port: "));
  CHECK(refusal("", {{"STACYVM_DEFAULTS_MEMORY_MB", "x"}}).starts_with("STACYVM_DEFAULTS_MEMORY_MB: defaults.memory_mb: "));
  // A file whose value would be refused is not asked where the environment says another.
  CHECK(parse_config("server:\n  port: x\n", "x.yaml", {{"STACYVM_SERVER_PORT", "2"}}).port == 2);
}

TEST_CASE("what is the library's is passed on as JSON") {
  CHECK(parse_config("", "x.yaml", {}).settings == R"({"defaults":{},"images":{"aliases":{"alpine:latest":"host"}}})");
  for (const char* none : {"images:\n  aliases:\n", "images:\n  aliases: {}\n"})
    CHECK(parse_config(none, "x.yaml", {}).settings == R"({"defaults":{},"images":{"aliases":{}}})");
  CHECK(parse_config("defaults:\n  memory_mb: 64\n  image: 'a\"b'\n  ttl: 5m\nimages:\n  aliases:\n    alpine:latest: host\n    a.b: /c\n", "x.yaml", {}).settings ==
        R"({"defaults":{"image":"a\"b","memory_mb":64,"ttl":"5m"},"images":{"aliases":{"a.b":"/c","alpine:latest":"host"}}})");
}

TEST_CASE("numbers for the library are JSON numbers") {
  for (const char* good : {"1", "0.5", "1024"}) CHECK_MESSAGE(refusal("defaults:\n  vcpus: "s + good) == "", std::string(good));
  for (const char* bad : {".", "1.2.3", ".5", "5.", "01", "-1", "1e3", "1,2", "''", "~", "true"}) CHECK_MESSAGE(is_refused_at("defaults:\n  vcpus: "s + bad + "\n", "x.yaml:2: defaults.vcpus: "), std::string(bad));
}

TEST_CASE("an address that others can reach needs a key") {
  const auto exposed = [](const std::string& host, const std::string& key, const std::string& admin) {
    Config config;
    config.host = host;
    config.api_key = key;
    config.admin_api_key = admin;
    try {
      serve::check_exposure(config);
      return false;
    } catch (const std::runtime_error& error) {
      CHECK(std::string(error.what()).find("auth.api_key") != std::string::npos);
      return true;
    }
  };
  for (const char* here : {"127.0.0.1", "127.1.2.3", "::1", "localhost", "a.localhost"}) CHECK_FALSE(exposed(here, "", ""));
  for (const char* there : {"0.0.0.0", "::", "192.0.2.1", "127.0.0.1.example", "127.1", "localhost.", "x127.0.0.1", "example.org", "localhost.example", "10.127.0.1", "127.example.org"}) {
    CHECK_MESSAGE(exposed(there, "", ""), std::string(there));
    CHECK_FALSE(exposed(there, "k", ""));
    CHECK_FALSE(exposed(there, "", "k"));
  }
}
