#include "failure.hpp"

#include <stdexcept>

#include "../text/text.hpp"
#include "output.hpp"
#include "pipe.hpp"
#include "waiting.hpp"

namespace cli {
namespace {

/// Empty: nothing comes to mind.
std::string advice(std::string_view verb, const stacyvm::Error& error, const ClientOptions& options) {
  Location location;
  try {
    location = location_of(options);
  } catch (const std::exception&) {
    return "";  // it is what the error is about
  }
  switch (error.code()) {
    case STACYVM_E_UNAVAILABLE:
    case STACYVM_E_TIMEOUT:
      // What a server answers has steps of its own.
      if (location.is_server && error.details().find(R"("step":"connect")") != std::string::npos)
        return "no server answers at " + location.shown() + ": start one with stacyvm serve, or name a directory with --server";
      if (location.is_server && error.details().find(R"("step":"tls")") != std::string::npos) return "--ca-file names certificates that are trusted instead of the system's";
      return "";
    case STACYVM_E_UNAUTHORIZED:
      return location.api_key.empty() ? "the server wants a key: STACYVM_API_KEY or --api-key-file" : "the server does not know this key: see STACYVM_API_KEY or --api-key-file";
    case STACYVM_E_NOT_FOUND:
      if (error.details().find("\"location\":") != std::string::npos) return "";
      // A server has these at its root, unless something before it says otherwise.
      if (location.is_server && location.has_path()) return "is there a server at " + location.shown() + "? Its address is http://HOST:PORT";
      return verb == "spawn" ? "" : "stacyvm list tells which sandboxes there are";
    case STACYVM_E_FORBIDDEN:
      if (!location.is_server || !(error.details().find(R"("field":"image")") != std::string::npos || error.details().find(R"("field":"mounts")") != std::string::npos)) return "";
      return "a server's callers name no paths of its machine: its images.aliases gives them names; a state directory (--server DIRECTORY) takes paths";
    default: return "";
  }
}

void say(const std::string& code, const std::string& message, const std::string& details, const std::string& hint, bool json) {
  if (json) {
    print_error("{\"code\":" + text::json_string(code) + ",\"message\":" + text::json_string(message) + ",\"details\":" + details +
                 (hint.empty() ? "" : ",\"hint\":" + text::json_string(hint)) + '}');
    return;
  }
  complain(message + (hint.empty() ? "" : "; " + hint));
}

}  // namespace

stacyvm::Error said_of(const std::string& sandbox, const stacyvm::Error& error) {
  return {error.code(), error.name(), (sandbox.empty() ? "" : sandbox + ": ") + error.what(), error.details(), error.http_status()};
}

void say_mistake(const std::string& message, const std::string& hint, bool json) { say("BAD_REQUEST", message, "{}", hint, json); }

std::string to_json(const stacyvm::Error& error) {
  return "{\"code\":" + text::json_string(error.name()) + ",\"message\":" + text::json_string(error.what()) + ",\"details\":" + error.details() + '}';
}

void say(const char* verb, const stacyvm::Error& error, const ClientOptions& options) {
  say(error.name(), error.what(), error.details(), advice(verb, error, options), options.json);
}

int answered(const char* verb, const ClientOptions& options, const std::function<int()>& work) {
  try {
    return work();
  } catch (const Interrupted& interrupted) {
    return signal_status(interrupted.signal);
  } catch (const ReaderGone&) {
    return kExitBrokenPipe;
  } catch (const stacyvm::Error& error) {
    say(verb, error, options);
  } catch (const std::invalid_argument& error) {
    say_mistake(std::string(verb) + ": " + error.what(), "", options.json);
  } catch (const std::exception& error) {
    say("IO_ERROR", std::string(verb) + ": " + error.what(), "{}", "", options.json);
  }
  return kExitOurs;
}

}  // namespace cli
