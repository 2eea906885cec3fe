// An instance over the fakes, with one session and one sandbox.
#pragma once
#include <doctest/doctest.h>
#include <poll.h>
#include <stacyvm/stacyvm.h>

#include <string>

#include "fakes.hpp"
#include "instance.hpp"

namespace fakes {

inline stacyvm_instance* open_fake(const std::shared_ptr<World>& world) {
  return capi::make_handle<stacyvm_instance>(std::make_shared<capi::Instance>(std::make_unique<Manager>(world), Fd(), svm::Log())).release();
}

/// Reports an unexpected error in the failure's text.
#define MUST(call)                                                                        \
  do {                                                                                    \
    stacyvm_error* must_error = nullptr;                                                  \
    stacyvm_error** err = &must_error;                                                    \
    const int32_t must_code = (call);                                                     \
    const std::string must_text = must_error ? stacyvm_error_message(must_error) : "";    \
    stacyvm_error_free(must_error);                                                       \
    REQUIRE_MESSAGE(must_code == STACYVM_OK, must_text);                                  \
  } while (false)

struct Bench {
  std::shared_ptr<World> world = std::make_shared<World>();
  stacyvm_instance* vm = open_fake(world);
  stacyvm_session* session = nullptr;
  stacyvm_sandbox* sandbox = nullptr;

  Bench() {
    MUST(stacyvm_session_open(vm, nullptr, &session, err));
    MUST(stacyvm_spawn(session, nullptr, &sandbox, err));
  }
  ~Bench() {
    stacyvm_sandbox_close(sandbox);
    stacyvm_session_close(session);
    stacyvm_close(vm);
    CHECK(world->managers == 0);
  }
  stacyvm_stream* exec(uint64_t flags = 0, const char* shell = "x") {
    stacyvm_exec_options o;
    STACYVM_INIT(&o);
    o.shell = shell;
    o.flags = flags;
    stacyvm_stream* stream = nullptr;
    MUST(stacyvm_exec_start(sandbox, &o, &stream, err));
    return stream;
  }
};

inline bool readable(int fd) {
  pollfd p{fd, POLLIN, 0};
  return poll(&p, 1, 0) == 1;
}

inline stacyvm_chunk next(stacyvm_stream* stream, int32_t expect = STACYVM_OK, int64_t timeout_ms = 0) {
  stacyvm_chunk chunk;
  STACYVM_INIT(&chunk);
  CHECK(stacyvm_stream_next(stream, timeout_ms, &chunk, nullptr) == expect);
  return chunk;
}
inline std::string text(const stacyvm_chunk& chunk) { return {static_cast<const char*>(chunk.data), chunk.size}; }

}  // namespace fakes
