// A stream whose end is an audit row.
#pragma once
#include <memory>
#include <string>

#include "audit/log.hpp"
#include "channel/channel.hpp"

namespace svm::gate {

/// Passes everything on. Writes `outcome` (completed with code and summary) once: when the end is read, or as CANCELLED when the last
/// reference goes before that (OK if the other side had ended its half). The log must outlive the stream.
class AuditedStream final : public channel::Stream {
 public:
  /// `exec_id`: empty for a stream that is no command's.
  AuditedStream(std::shared_ptr<channel::Stream> stream, audit::Log& log, model::AuditRow outcome, std::string exec_id);
  ~AuditedStream() override;

  /// Throws Error io, once, when the end came and could not be recorded; the result is there all the same.
  Next next(int64_t timeout_ms, channel::Piece& out) override;
  const protocol::Result* result() const noexcept override { return stream_->result(); }
  uint32_t pid() const noexcept override { return stream_->pid(); }
  std::string_view exec_id() const noexcept override { return exec_id_; }
  size_t write(const void* data, size_t size, int64_t timeout_ms) override { return stream_->write(data, size, timeout_ms); }
  void finish() override { stream_->finish(); }
  void cancel() noexcept override { stream_->cancel(); }
  void send_signal(int signal, bool group) override { stream_->send_signal(signal, group); }
  bool readable() const noexcept override { return stream_->readable(); }
  bool writable() const noexcept override { return stream_->writable(); }
  void set_notify(std::function<void()> hook) override { stream_->set_notify(std::move(hook)); }

 private:
  void record();

  std::shared_ptr<channel::Stream> stream_;
  audit::Log& log_;
  model::AuditRow outcome_;
  const std::string exec_id_;
  bool recorded_ = false, half_ = false;
};

}  // namespace svm::gate
