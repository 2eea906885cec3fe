// stacyvm serve: the library over HTTP.
#include <stacyvm/stacyvm.hpp>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <memory>

#include "../http/server.hpp"
#include "../serve/config.hpp"
#include "../serve/gateway.hpp"
#include "commands.hpp"
#include "output.hpp"
#include "signals.hpp"

namespace cli {
namespace {

struct ServeOptions {
  std::string config, host, port, state_dir;
};

uint32_t level_of(const std::string& name) {
  return name == "error" ? STACYVM_LOG_ERROR : name == "warn" ? STACYVM_LOG_WARN : name == "debug" ? STACYVM_LOG_DEBUG : STACYVM_LOG_INFO;
}

/// A descriptor a connection, and some for its streams.
void raise_descriptor_limit() {
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0) return;  // it stays as it is
  files.rlim_cur = files.rlim_max;
  (void)::setrlimit(RLIMIT_NOFILE, &files);
}

int run_server(const ServeOptions& given) {
  serve::Config config = serve::load_config(given.config);
  if (!given.host.empty()) config.host = given.host;
  if (!given.port.empty()) config.port = static_cast<uint16_t>(std::stoul(given.port));
  if (!given.state_dir.empty()) config.state_dir = given.state_dir;
  if (config.state_dir.empty()) config.state_dir = serve::default_state_dir();
  serve::check_exposure(config);
  raise_descriptor_limit();
  Signals signals;  // before other threads
  stacyvm::Options options;
  options.state_dir = config.state_dir;
  options.flags = STACYVM_OPEN_DETACHED;
  options.log_fd = STDERR_FILENO;
  options.log_level = level_of(config.log_level);
  options.settings = config.settings;
  stacyvm::Instance instance(options);

  http::ServerOptions server_options;
  server_options.host = config.host;
  server_options.port = config.port;
  if (!config.tls_cert_file.empty()) server_options.tls = std::make_shared<http::TlsContext>(config.tls_cert_file, config.tls_key_file);
  server_options.max_connections = config.max_connections;
  server_options.max_connections_per_address = config.max_connections_per_address;
  server_options.drain = std::chrono::milliseconds(config.shutdown_timeout_ms);
  const serve::RequestLog log(STDERR_FILENO, options.log_level);
  serve::Gateway gateway(instance, config, log);
  http::Server server(server_options, gateway);
  std::fprintf(stderr, "stacyvm: listening on %s, state in %s\n", server.url().c_str(), config.state_dir.c_str());
  const size_t cut = server.run(signals.fd());
  if (cut > 0) std::fprintf(stderr, "stacyvm: %zu connections were cut off\n", cut);
  return 0;
}

}  // namespace

Verb add_serve(CLI::App& app) {
  auto options = std::make_shared<ServeOptions>();
  CLI::App* verb = app.add_subcommand("serve", "Serve sandboxes over HTTP, until SIGTERM; they outlive the server");
  verb->add_option("--config", options->config, "Configuration file; ./stacyvm.yaml if there is one");
  verb->add_option("--host", options->host, "Address to listen at, over server.host");
  verb->add_option("--port", options->port, "Port to listen at, over server.port; 0: any that is free")->check(CLI::Range(0, 65535) & CLI::Validator([](const std::string& text) { return text.find_first_not_of("0123456789") == text.npos ? "" : "give a number, in decimal"; }, ""));
  verb->add_option("--state-dir", options->state_dir, "Where sandboxes are remembered, over server.state_dir");
  return {verb, false, [options](const CommandWords&) { return run_server(*options); }};
}

}  // namespace cli
