// The table of lib/core/fail_point.hpp, from the test's side.
#pragma once
#include <cstdint>
#include <set>
#include <string>
#include <string_view>

#include "core/fail_point.hpp"

namespace svm::test {

/// One for the whole program, made before the library is used: every process that uses the library from here on shares it.
class Arming {
 public:
  Arming();
  ~Arming();
  Arming(const Arming&) = delete;
  Arming& operator=(const Arming&) = delete;

  void arm(const char* name, int32_t action, uint32_t skip = 0) noexcept;
  /// Whether the point acted, or nobody has come to it; it is disarmed in any case.
  bool disarm() noexcept;

 private:
  std::string path_;
  fail_point::Armed* table_ = nullptr;
};

/// The names that an executable carries; empty when it has no such section.
std::set<std::string> fail_points_of(std::string_view elf);

}  // namespace svm::test
