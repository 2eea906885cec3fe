#include "client_options.hpp"

#include "options.hpp"

namespace cli {

void add_client_options(CLI::App& verb, ClientOptions& options, const char* json_help) {
  add_text(verb, "--server", options.server,
           "http(s)://HOST:PORT of a server, or the state directory of sandboxes without one; else STACYVM_URL, else http://127.0.0.1:7423");
  CLI::Option* key = add_text(verb, "--api-key", options.api_key,
                              "The server's key. Others on this machine can read a command line: prefer STACYVM_API_KEY or --api-key-file");
  add_text(verb, "--api-key-file", options.api_key_file, "A file whose first line is the server's key")->excludes(key);
  add_text(verb, "--ca-file", options.ca_file, "Certificates (PEM) that are trusted instead of the system's; else STACYVM_CA_FILE");
  verb.add_flag("--json", options.json, json_help);
}

}  // namespace cli
