// How often each operation was asked for, how it went and how long it took.
#pragma once
#include <cstdint>
#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

#include "core/codes.hpp"

namespace svm::gate {

/// Thread-safe. Of each operation, by its place in ops::All.
class Meters {
 public:
  struct Meter {
    uint64_t success = 0, failure = 0;
    int64_t total_us = 0, least_us = 0, most_us = 0;
    Code last_failure = Code::ok;
    int64_t observed_ms = 0;  // wall clock, of the last one; 0: there was none
  };

  explicit Meters(size_t operations) : slots_(std::make_unique<Slot[]>(operations)), size_(operations) {}
  /// Code::ok: it went well.
  void count(size_t operation, Code code, int64_t took_us) noexcept;
  Meter read(size_t operation) const;
  size_t size() const noexcept { return size_; }

 private:
  struct alignas(64) Slot {  // so that two operations share no line of the cache
    mutable std::mutex mutex;
    Meter meter;
  };
  const std::unique_ptr<Slot[]> slots_;
  const size_t size_;
};

}  // namespace svm::gate
