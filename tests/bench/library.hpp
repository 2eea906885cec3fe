// The library as an application sees it, with its failures as exceptions; and what is measured beside it: plain processes.
#pragma once
#include <stacyvm/stacyvm.h>

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace bench {

/// Throws std::runtime_error with the error's code, message and details, and frees it. By reference, for the call that fills it is an
/// argument too.
void check(int32_t code, stacyvm_error*& error, const char* what);

/// One opened state directory with a session. Default durability and limits: nothing here is tuned for the measurement.
class Library {
 public:
  explicit Library(const std::string& state_dir);
  ~Library();
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;
  stacyvm_session* session() const { return session_; }

 private:
  stacyvm_instance* instance_ = nullptr;
  stacyvm_session* session_ = nullptr;
};

class Sandbox {
 public:
  /// `image`: nullptr is the default, the host's /usr.
  explicit Sandbox(const Library& library, const char* image = nullptr);
  explicit Sandbox(stacyvm_sandbox* taken) : sandbox_(taken) {}
  ~Sandbox();
  Sandbox(const Sandbox&) = delete;
  Sandbox& operator=(const Sandbox&) = delete;

  /// Runs it and throws unless it exits with 0.
  void exec(const char* program) const;
  void destroy();
  void write_file(const char* path, const void* data, uint64_t size, uint64_t times) const;
  /// Reads all of it; the number of bytes.
  uint64_t read_file(const char* path) const;

 private:
  stacyvm_sandbox* sandbox_ = nullptr;
};

/// `count` sandboxes, all asked for before the first is waited for.
std::vector<std::unique_ptr<Sandbox>> spawn_at_once(const Library& library, unsigned count);

/// posix_spawn and waitpid of a program with its argv ready; no output. Throws unless it exits with 0.
class Program {
 public:
  explicit Program(std::vector<std::string> words);
  void run() const;
  /// Whether the program exists and works here; `why` otherwise.
  bool works(std::string& why) const;

 private:
  std::vector<std::string> words_;
  std::vector<char*> argv_;
};

}  // namespace bench
