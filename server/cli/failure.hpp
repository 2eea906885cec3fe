// How client verbs fail: what went wrong, and what to do about it.
#pragma once
#include <stacyvm/stacyvm.hpp>

#include <functional>
#include <string>

#include "location.hpp"

namespace cli {

/// {"code", "message", "details"}.
std::string to_json(const stacyvm::Error& error);
/// The same failure, said of one of several sandboxes.
stacyvm::Error said_of(const std::string& sandbox, const stacyvm::Error& error);
/// What is wrong with the command line, as say() says what the library failed with.
void say_mistake(const std::string& message, const std::string& hint, bool json);
/// On standard error, as text with what to do, or with --json as JSON.
void say(const char* verb, const stacyvm::Error& error, const ClientOptions& options);
/// Answers what `work` answers, or says what it failed with and answers the exit status for that.
int answered(const char* verb, const ClientOptions& options, const std::function<int()>& work);

}  // namespace cli
