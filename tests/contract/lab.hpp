// What the tests of whole sandboxes share: a provider by name, an instance with one sandbox, and answers in short.
#pragma once
#include <doctest/doctest.h>
#include <stacyvm/stacyvm.hpp>

#include <functional>
#include <string>
#include <string_view>

/// Ends a test case whose subject the library says this host cannot enforce (sandbox.info), and says why.
#define SVM_SKIP_UNLESS(condition, why) \
  if (!(condition)) {                   \
    MESSAGE("SKIPPED: " why);           \
    return;                             \
  }

namespace svm::test {

/// What the program was given as --NAME=VALUE; "" when it was not.
std::string option(const std::string& name);

/// The back end under test: --provider=NAME, "native" by default.
const std::string& provider();

/// Spawn options with the provider filled.
stacyvm::Spawn spawn_options();

/// One instance, one session, one sandbox.
/// An instance in memory; with --server=ADDRESS [--ca-file=FILE] [--api-key=KEY] that server's.
stacyvm::Options instance_options();
stacyvm::SessionOptions session_options();

struct Lab {
  explicit Lab(const stacyvm::Spawn& spawn = spawn_options(), const stacyvm::Options& options = instance_options());
  stacyvm::Instance vm;
  stacyvm::Session session;
  stacyvm::Sandbox sandbox;
};

/// The code that `action` fails with; STACYVM_OK if it does not.
int32_t code_of(const std::function<void()>& action);
/// The details of that failure, as JSON; "" if there is none.
std::string details_of(const std::function<void()>& action);

/// Standard output of a shell command that must succeed.
std::string sh(stacyvm::Sandbox& sandbox, const std::string& text, const std::string& user = "");

/// Whether sandbox.info says that the boundary enforces it: "memory", "pids", "id_range" ...
bool enforces(stacyvm::Sandbox& sandbox, std::string_view what);

/// Whether it became true in time.
bool within(int milliseconds, const std::function<bool()>& condition);

/// A directory of its own that every user may enter, removed at the end.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  const std::string& path() const noexcept { return path_; }

 private:
  std::string path_;
};

void write_host_file(const std::string& path, std::string_view bytes, unsigned mode = 0644);
std::string read_host_file(const std::string& path);

/// Processes of the whole host that have the marker among their arguments.
unsigned processes_with(const std::string& marker);

/// Control groups of the whole host whose name has the text in it, or at its end.
unsigned groups_with(std::string_view text);
unsigned groups_ending(std::string_view text);

/// A test program that is built to run inside: its bytes. They lie in the directory that SVM_TOOLS names.
std::string tool(const std::string& name);
/// Puts it at /tmp/NAME inside, for every user to run.
void install_tool(stacyvm::Sandbox& sandbox, const std::string& name);

}  // namespace svm::test
