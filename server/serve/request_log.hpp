// How each request went, a line each, beside the library's own diagnostics and in their form: "2026-01-31T12:00:00.000Z warn GET /api/v1/... ...".
#pragma once
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>

#include "../http/exchange.hpp"

namespace serve {

/// Without queries, headers and bodies: what callers do is for the audit log, which is nobody's to read by chance. Any number of threads.
class RequestLog {
 public:
  /// `level`: STACYVM_LOG_. DEBUG has every request, WARN those that the server could not serve (5xx), ERROR why one failed that should not have.
  RequestLog(int fd, uint32_t level) noexcept : fd_(fd), level_(level) {}
  void served(const http::Outcome& outcome) const noexcept;
  void failed(const std::string& request_id, std::string_view why) const noexcept;

 private:
  void write(uint32_t level, std::string_view text) const noexcept;

  const int fd_;
  const uint32_t level_;
  mutable std::mutex mutex_;  // one line at a time: what has room for one may have none for two
};

/// What served() writes of an outcome, without time and level. Printable ASCII, however long the path; pure.
std::string outcome_line(const http::Outcome& outcome);

}  // namespace serve
