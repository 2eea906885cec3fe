// The one exception type of the host side. It becomes a stacyvm_error at the C ABI and an HTTP body in the server.
#pragma once
#include <exception>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/codes.hpp"

namespace svm {

/// A failure: a code, one line of text (what failed and on what; never a secret), and facts for programs.
/// Facts become the details object: "field", "limit", "step", "errno", "rule", "request_id".
class Error : public std::exception {
 public:
  Error(Code code, std::string message) : code_(code), message_(std::move(message)) {}

  Code code() const noexcept { return code_; }
  const std::string& message() const noexcept { return message_; }
  const char* what() const noexcept override { return message_.c_str(); }

  using Facts = std::vector<std::pair<std::string, std::string>>;
  const Facts& facts() const noexcept { return facts_; }
  /// Adds a fact and returns *this, so that a throw reads: throw Error(...).with("field", "ttl");
  Error&& with(std::string key, std::string value) &&;
  Error&& with(std::string key, long long value) &&;

  /// Puts context before the message: "spawn: clone3: Operation not permitted".
  void prefix(std::string_view context);

 private:
  Code code_;
  std::string message_;
  Facts facts_;
};

/// Error(code_from_errno(error), "what: strerror") with the fact errno.
Error errno_error(int error, std::string_view what);
/// The same with an explicit code.
Error errno_error(Code code, int error, std::string_view what);
/// What it says; "out of memory" where there is none to say more.
std::string text_of(const std::exception& error) noexcept;
/// strerror without its locale and thread-safety traps.
std::string errno_text(int error);

}  // namespace svm
