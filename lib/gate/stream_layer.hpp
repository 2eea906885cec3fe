// A stream over another: everything passes through but what a subclass makes of it.
#pragma once
#include <memory>
#include <utility>

#include "channel/channel.hpp"

namespace svm::gate {

class StreamLayer : public channel::Stream {
 public:
  explicit StreamLayer(std::shared_ptr<channel::Stream> below) : below_(std::move(below)) {}

  Next next(int64_t timeout_ms, channel::Piece& out) override { return below_->next(timeout_ms, out); }
  const protocol::Result* result() const noexcept override { return below_->result(); }
  uint32_t pid() const noexcept override { return below_->pid(); }
  size_t write(const void* data, size_t size, int64_t timeout_ms) override { return below_->write(data, size, timeout_ms); }
  void finish() override { below_->finish(); }
  void cancel() noexcept override { below_->cancel(); }
  void send_signal(int signal, bool group) override { below_->send_signal(signal, group); }
  void kill() noexcept override { below_->kill(); }
  void resize(uint32_t rows, uint32_t columns) override { below_->resize(rows, columns); }
  void forget_end() noexcept override { below_->forget_end(); }
  bool readable() const noexcept override { return below_->readable(); }
  bool writable() const noexcept override { return below_->writable(); }
  void set_notify(std::function<void()> hook) override { below_->set_notify(std::move(hook)); }

 protected:
  std::shared_ptr<channel::Stream> below_;
};

}  // namespace svm::gate
