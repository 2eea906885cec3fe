// Named places where a test makes this code fail or end. Only in builds with -Dfail_points=true; in any other a point is the constant
// 0, and neither its name nor what is behind it is compiled (tests/build/fail_points_test.py).
//
// A point that is passed looks at a table which all processes of a test share: the file that the environment's STACYVM_FAIL_POINTS names. Who
// passes a point that is armed disarms it, so that what is done again succeeds. The names of all points of an executable are its
// section svm_fail_points.
#pragma once
#ifdef SVM_FAIL_POINTS
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace svm::fail_point {

inline constexpr size_t kNameBytes = 56;       // with the NUL at the end
inline constexpr int32_t kNone = 0, kKill = -1;  // other actions are errnos

/// The table, one point at a time: written by the test, `action` last.
struct Armed {
  char name[kNameBytes];
  std::atomic<uint32_t> skip;   // so often the point is passed before it acts
  std::atomic<int32_t> action;  // kNone: not armed, or done
};

/// The errno that the point named so shall fail with; 0: go on. Ends the process where it is armed so.
int pass(const char* name) noexcept;

/// "STACYVM_FAIL_POINTS=..." for the environment of a process that this one starts; nullptr: none.
const char* environment() noexcept;
/// The same for an executable that cannot reach the file: takes the point over if it is armed and its name begins so. Into `text`.
inline constexpr size_t kEnvironmentBytes = kNameBytes + 64;
const char* environment_of(const char* prefix, char (&text)[kEnvironmentBytes]) noexcept;

}  // namespace svm::fail_point

// Not for inline functions and templates, whose constants the compiler puts into sections of their own.
#define SVM_FAIL_POINT(point)                                                                 \
  ([]() noexcept -> int {                                                                     \
    __attribute__((section("svm_fail_points"), used)) static const char name_of_point[] = point; \
    return ::svm::fail_point::pass(name_of_point);                                            \
  }())
/// Throws an Error that names the point; for code that has core/error.hpp.
#define SVM_FAIL_POINT_THROW(code, point) \
  do {                                    \
    if (const int injected = SVM_FAIL_POINT(point)) throw ::svm::errno_error(code, injected, point); \
  } while (false)
#else
#define SVM_FAIL_POINT(point) 0
#define SVM_FAIL_POINT_THROW(code, point) static_cast<void>(0)
#endif
