#include "library.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

extern char** environ;

namespace bench {

void check(int32_t code, stacyvm_error*& error, const char* what) {
  if (code == STACYVM_OK) return;
  std::string text = std::string(what) + ": code " + std::to_string(code);
  if (error) text += std::string(", ") + stacyvm_error_name(error) + ": " + stacyvm_error_message(error) + " " + stacyvm_error_details(error);
  stacyvm_error_free(error);
  error = nullptr;
  throw std::runtime_error(text);
}

Library::Library(const std::string& state_dir) {
  stacyvm_options options;
  STACYVM_INIT(&options);
  options.state_dir = state_dir.c_str();
  stacyvm_error* error = nullptr;
  check(stacyvm_open(&options, &instance_, &error), error, "open");
  try {
    check(stacyvm_session_open(instance_, nullptr, &session_, &error), error, "session");
  } catch (...) {
    stacyvm_close(instance_);
    throw;
  }
}

Library::~Library() {
  stacyvm_session_close(session_);
  stacyvm_close(instance_);
}

Sandbox::Sandbox(const Library& library, const char* image) {
  stacyvm_spawn_options options;
  STACYVM_INIT(&options);
  options.image = image;
  stacyvm_error* error = nullptr;
  check(stacyvm_spawn(library.session(), &options, &sandbox_, &error), error, "spawn");
}

Sandbox::~Sandbox() { stacyvm_sandbox_close(sandbox_); }

void Sandbox::exec(const char* program) const {
  stacyvm_exec_options options;
  STACYVM_INIT(&options);
  options.argv = &program;
  options.argc = 1;
  stacyvm_exec_result result;
  STACYVM_INIT(&result);
  stacyvm_error* error = nullptr;
  check(stacyvm_exec(sandbox_, &options, &result, &error), error, "exec");
  const bool ended_well = result.reason == STACYVM_REASON_EXITED && result.exit_code == 0;
  stacyvm_exec_result_clear(&result);
  if (!ended_well) throw std::runtime_error(std::string(program) + " failed in the sandbox");
}

void Sandbox::destroy() {
  stacyvm_error* error = nullptr;
  check(stacyvm_sandbox_destroy(sandbox_, &error), error, "destroy");
}

void Sandbox::write_file(const char* path, const void* data, uint64_t size, uint64_t times) const {
  stacyvm_error* error = nullptr;
  stacyvm_stream* stream = nullptr;
  check(stacyvm_file_writer(sandbox_, path, 0, 0, &stream, &error), error, "file_writer");
  try {
    for (uint64_t i = 0; i < times; ++i) {
      uint64_t taken = 0;
      check(stacyvm_stream_write(stream, data, size, -1, &taken, &error), error, "write");
      if (taken != size) throw std::runtime_error("write: not all was taken");
    }
    check(stacyvm_stream_finish(stream, -1, &error), error, "finish");
  } catch (...) {
    stacyvm_stream_close(stream);
    throw;
  }
  stacyvm_stream_close(stream);
}

uint64_t Sandbox::read_file(const char* path) const {
  stacyvm_error* error = nullptr;
  stacyvm_stream* stream = nullptr;
  check(stacyvm_file_reader(sandbox_, path, 0, 0, &stream, &error), error, "file_reader");
  stacyvm_chunk chunk;
  STACYVM_INIT(&chunk);
  uint64_t total = 0;
  int32_t code;
  while ((code = stacyvm_stream_next(stream, -1, &chunk, &error)) == STACYVM_OK) total += chunk.size;
  stacyvm_stream_close(stream);
  if (code != STACYVM_E_END) check(code, error, "read");
  return total;
}

std::vector<std::unique_ptr<Sandbox>> spawn_at_once(const Library& library, unsigned count) {
  const auto close = [](stacyvm_op* op) { stacyvm_op_close(op); };
  std::vector<std::unique_ptr<stacyvm_op, decltype(close)>> ops;
  stacyvm_error* error = nullptr;
  for (unsigned i = 0; i < count; ++i) {
    stacyvm_op* op = nullptr;
    check(stacyvm_spawn_begin(library.session(), nullptr, &op, &error), error, "spawn_begin");
    ops.emplace_back(op, close);
  }
  std::vector<std::unique_ptr<Sandbox>> sandboxes;
  for (const auto& op : ops) {
    check(stacyvm_op_wait(op.get(), -1, &error), error, "spawn");
    stacyvm_sandbox* sandbox = nullptr;
    check(stacyvm_op_sandbox(op.get(), &sandbox, &error), error, "op_sandbox");
    sandboxes.push_back(std::make_unique<Sandbox>(sandbox));
  }
  return sandboxes;
}

Program::Program(std::vector<std::string> words) : words_(std::move(words)) {
  for (std::string& word : words_) argv_.push_back(word.data());
  argv_.push_back(nullptr);
}

void Program::run() const {
  pid_t pid = 0;
  if (const int error = ::posix_spawn(&pid, argv_[0], nullptr, nullptr, argv_.data(), environ))
    throw std::runtime_error(words_[0] + ": " + std::strerror(error));
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0)
    if (errno != EINTR) throw std::runtime_error("waitpid");
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) throw std::runtime_error(words_[0] + " failed");
}

bool Program::works(std::string& why) const {
  if (::access(argv_[0], X_OK) < 0) {
    why = words_[0] + ": " + std::strerror(errno);
    return false;
  }
  try {
    run();
    return true;
  } catch (const std::exception& error) {
    why = error.what();
    return false;
  }
}

}  // namespace bench
