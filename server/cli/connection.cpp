#include "connection.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>

#include "../text/text.hpp"
#include "waiting.hpp"

namespace cli {
namespace {

stacyvm::Options options_of(const Location& location, Connection::Missing missing) {
  stacyvm::Options options;
  options.state_dir = location.address;
  if (location.is_server) {
    // Of one that is not there the library only knows that the server is not who it should be.
    if (!location.ca_file.empty() && ::access(location.ca_file.c_str(), R_OK) != 0)
      throw std::runtime_error("cannot read the certificates in " + location.ca_file + ": " + std::strerror(errno));
    if (!location.ca_file.empty()) options.settings = "{\"remote\":{\"ca_file\":" + text::json_string(location.ca_file) + "}}";
    return options;
  }
  struct stat info;
  if (::stat(location.address.c_str(), &info) != 0) {
    if (errno != ENOENT) throw std::runtime_error("cannot use the state directory " + location.address + ": " + std::strerror(errno));
    if (missing == Connection::Missing::is_an_error)
      throw stacyvm::Error(STACYVM_E_NOT_FOUND, "NOT_FOUND",
                           "there is no state directory " + location.address + ": stacyvm spawn makes one; a server's address is http://HOST:PORT",
                           "{\"location\":" + text::json_string(location.address) + '}', 404);
  } else if (!S_ISDIR(info.st_mode)) {
    throw std::invalid_argument(location.address + " is no directory; a server's address is http://HOST:PORT");
  }
  options.flags = STACYVM_OPEN_DETACHED;
  return options;
}

stacyvm::Instance open(const Location& location, Signals* signals, Connection::Missing missing) {
  try {
    stacyvm::Op op = stacyvm::Instance::open_begin(options_of(location, missing));
    if (signals) wait_for(op, *signals);
    return op.instance();
  } catch (const stacyvm::Error& error) {
    // What is an address to us is a state directory to the library, with one field for both.
    static constexpr std::string_view kField = "state_dir: ";
    if (location.is_server && std::string_view(error.what()).starts_with(kField))
      throw stacyvm::Error(error.code(), error.name(), "--server " + location.shown() + ": " + (error.what() + kField.size()), error.details(), error.http_status());
    if (location.is_server || error.code() != STACYVM_E_CONFLICT) throw;
    // One process has it at a time: a server, or one of us that runs a command there.
    throw stacyvm::Error(error.code(), error.name(), std::string(error.what()) + "; if a server has it, give the server's address with --server", error.details(),
                         error.http_status());
  }
}

stacyvm::Session session(stacyvm::Instance& instance, const Location& location, Signals* signals) {
  stacyvm::SessionOptions options;
  options.api_key = location.api_key;
  stacyvm::Op op = instance.session_begin(options);
  if (signals) wait_for(op, *signals);
  return op.session();
}

}  // namespace

Connection::Connection(const ClientOptions& options, Missing missing) : Connection(location_of(options), nullptr, missing) {}
Connection::Connection(const ClientOptions& options, Signals& signals, Missing missing) : Connection(location_of(options), &signals, missing) {}
Connection::Connection(const Location& location, Signals* signals, Missing missing)
    : instance_(open(location, signals, missing)), session_(cli::session(instance_, location, signals)) {}

stacyvm::Sandbox sandbox_of(Connection& connection, const std::string& name) {
  if (name.empty()) throw stacyvm::Error(STACYVM_E_INVALID, "BAD_REQUEST", "a sandbox's id or name is empty", "{}", 400);
  return connection.session().sandbox(name);
}

}  // namespace cli
