#include "remote/stream.hpp"

#include <utility>

#include "core/error.hpp"

namespace svm::remote {
namespace {

class Stream final : public channel::Stream {
 public:
  Stream(std::shared_ptr<Link> link, std::string exec_id) noexcept : link_(std::move(link)), exec_id_(std::move(exec_id)) {}
  ~Stream() override { link_->abandon(); }

  Next next(int64_t timeout_ms, channel::Piece& out) override { return link_->next(timeout_ms, out); }
  const protocol::Result* result() const noexcept override { return link_->result(); }
  uint32_t pid() const noexcept override { return 0; }
  std::string_view exec_id() const noexcept override { return exec_id_; }

  size_t write(const void* data, size_t size, int64_t timeout_ms) override { return link_->write(static_cast<const char*>(data), size, timeout_ms); }
  void finish() override { link_->finish(); }
  // A handle that is closed lets go; what is cancelled ends, whichever way it is held.
  void cancel() noexcept override { link_->cancel(); }
  void send_signal(int signal, bool group) override {
    if (signal < 1 || signal > 64) throw Error(Code::invalid, "no such signal").with("field", "signal");
    link_->say(signal_word(signal, group));
  }
  void resize(uint32_t rows, uint32_t columns) override {
    constexpr uint32_t kMost = protocol::kMaxTerminalSide;
    if (rows < 1 || columns < 1 || rows > kMost || columns > kMost)
      throw Error(Code::invalid, "a terminal has 1 to " + std::to_string(kMost) + " rows and columns").with("field", rows < 1 || rows > kMost ? "rows" : "cols").with("limit", kMost);
    link_->say(resize_word(rows, columns));
  }

  bool readable() const noexcept override { return link_->readable(); }
  bool writable() const noexcept override { return link_->writable(); }
  void set_notify(std::function<void()> hook) override { link_->set_notify(std::move(hook)); }

 private:
  const std::shared_ptr<Link> link_;
  const std::string exec_id_;
};

}  // namespace

std::shared_ptr<channel::Stream> make_stream(std::shared_ptr<Link> link, std::string exec_id) { return std::make_shared<Stream>(std::move(link), std::move(exec_id)); }

}  // namespace svm::remote
