// A stream whose end is an audit row.
#pragma once
#include <memory>
#include <string>

#include "audit/log.hpp"
#include "channel/channel.hpp"
#include "gate/stream_layer.hpp"

namespace svm::gate {

/// Passes everything on, and knows whose stream it is.
class NamedStream : public StreamLayer {
 public:
  /// `exec_id`: empty for a stream that is no command's.
  NamedStream(std::shared_ptr<channel::Stream> below, std::string exec_id) : StreamLayer(std::move(below)), exec_id_(std::move(exec_id)) {}

  std::string_view exec_id() const noexcept override { return exec_id_; }

 protected:
  const std::string exec_id_;
};

/// Writes `outcome` (completed with code and summary) once: when the end is read, or when the last reference
/// goes before that: as CANCELLED, or detached. The log must outlive the stream.
class AuditedStream final : public NamedStream {
 public:
  /// `attached`: letting go of it cancels nothing.
  AuditedStream(std::shared_ptr<channel::Stream> stream, audit::Log& log, model::AuditRow outcome, std::string exec_id, bool attached);
  ~AuditedStream() override;

  /// Throws Error io, once, when the end came and could not be recorded; the result is there all the same.
  Next next(int64_t timeout_ms, channel::Piece& out) override;
  void forget_end() noexcept override {
    recorded_ = true;
    below_->forget_end();
  }

 private:
  void record();

  audit::Log& log_;
  model::AuditRow outcome_;
  const bool attached_;
  bool recorded_ = false, half_ = false;
};

}  // namespace svm::gate
