// The one place where C++ ends: every fallible function of the C ABI is guard(err, body).
#pragma once
#include <cxxabi.h>
#include <stacyvm/stacyvm.h>

#include <memory>
#include <new>
#include <string>
#include <utility>

#include "error.hpp"
#include "fork.hpp"

namespace svm::capi {

/// Runs the body, which answers STACYVM_OK, _AGAIN or _END, or throws. Only a thread's cancellation passes through.
template <class Body>
int32_t guard(stacyvm_error** err, Body&& body) {
  try {
    return body();
  } catch (const Error& error) {
    if (err) *err = make_error(error);
    return static_cast<int32_t>(error.code());
  } catch (const std::bad_alloc&) {
    if (err) *err = out_of_memory_error();
    return STACYVM_E_LIMIT;
  } catch (const std::exception& error) {
    if (err) *err = make_error(Error(Code::internal, error.what()));
    return STACYVM_E_INTERNAL;
  } catch (abi::__forced_unwind&) {  // pthread_cancel: not ours to stop
    throw;
  } catch (...) {
    if (err) *err = make_error(Error(Code::internal, "an exception of unknown type"));
    return STACYVM_E_INTERNAL;
  }
}

/// What every opaque handle points to. The tag is checked first, so a handle of another type is an error and not a crash.
template <class Core, uint32_t Tag>
struct Handle {
  explicit Handle(std::shared_ptr<Core> c) noexcept : core(std::move(c)) {}
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle() {}  // the core is released by ReleaseHandle, or never: see close_handle

  uint32_t tag = Tag;
  uint64_t generation = process_generation();
  union {
    std::shared_ptr<Core> core;
  };
  static constexpr uint32_t kTag = Tag;
};

template <class H>
bool is_handle(const H* handle) noexcept {
  return handle && handle->tag == H::kTag;
}

template <class H>
bool is_inherited(const H* handle) noexcept {
  return handle->generation != process_generation();
}

/// The core behind a handle, or Error invalid or forked. `name` is the parameter.
template <class H>
auto& core_of(H* handle, const char* name) {
  if (!handle) throw invalid(name, "NULL");
  if (handle->tag != H::kTag) throw invalid(name, "not a handle of this type");
  if (is_inherited(handle)) throw Error(Code::forked, std::string(name) + ": the handle belongs to the parent process");
  return handle->core;
}

struct ReleaseHandle {
  template <class H>
  void operator()(H* handle) const noexcept {
    handle->core.~shared_ptr();
    handle->tag = 0;
    delete handle;
  }
};
template <class H>
using HandlePtr = std::unique_ptr<H, ReleaseHandle>;

/// A handle that is not the caller's yet.
template <class H, class Core>
HandlePtr<H> make_handle(std::shared_ptr<Core> core) {
  return HandlePtr<H>(new H(std::move(core)));
}

/// Frees the handle. In the process that made it `end(core)` runs first. In a forked child the core is abandoned: its threads do not
/// exist there and its locks may be held for ever.
template <class H, class End>
void close_handle(H* handle, End&& end) noexcept {
  if (!is_handle(handle)) return;
  if (!is_inherited(handle)) {
    end(*handle->core);
    ReleaseHandle()(handle);
  } else {
    handle->tag = 0;
    delete handle;
  }
}

template <class T>
void require_output(T* out, const char* name) {
  if (!out) throw invalid(name, "NULL");
}

}  // namespace svm::capi
