#include "gate/tar_put_stream.hpp"

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <system_error>
#include <thread>

#include "channel/notifier.hpp"
#include "core/error.hpp"
#include "gate/exchange.hpp"
#include "images/unpack.hpp"
#include "protocol/tree.hpp"

namespace svm::gate {
namespace {

std::atomic<size_t> running_uploads = 0;

/// One of the threads that may run.
class Slot {
 public:
  Slot() {
    if (running_uploads.fetch_add(1) < kMaxTarUploads) return;
    --running_uploads;
    throw Error(Code::limit, "too many archives are being unpacked").with("limit", static_cast<long long>(kMaxTarUploads));
  }
  ~Slot() { --running_uploads; }
  Slot(const Slot&) = delete;
  Slot& operator=(const Slot&) = delete;
};

/// A tree as the agent's unpack reads it. Headers and small files are sent together.
class TreeSender final : public images::TreeWriter {
 public:
  explicit TreeSender(channel::Stream& to) : to_(to) {}

  void mkdir(std::string_view path, uint32_t mode) override { put(protocol::TreeType::directory, path, {}, mode); }
  void begin_file(std::string_view path, uint32_t mode, uint64_t size) override { put(protocol::TreeType::file, path, {}, mode, size); }
  void data(std::string_view bytes) override {
    if (batch_.size() + bytes.size() <= kBatchBytes) {
      batch_ += bytes;
      return;
    }
    flush();
    send(bytes);
  }
  void commit_file() override {}
  void symlink(std::string_view path, std::string_view target) override { put(protocol::TreeType::symlink, path, target, 0777); }
  void hardlink(std::string_view path, std::string_view existing) override { put(protocol::TreeType::hardlink, path, existing, 0); }
  void chmod(std::string_view path, uint32_t mode) override { put(protocol::TreeType::chmod, path, {}, mode); }
  void finish() override {
    flush();
    to_.finish();
    wait();
  }

 private:
  static constexpr size_t kBatchBytes = 128 * 1024;

  void put(protocol::TreeType type, std::string_view path, std::string_view target, uint32_t mode, uint64_t size = 0) {
    protocol::TreeEntry entry;
    entry.type = type;
    entry.path = path;
    entry.target = target;
    entry.mode = mode;
    entry.size = size;
    protocol::encode(batch_, entry);
    if (batch_.size() >= kBatchBytes) flush();
  }

  void flush() {
    send(batch_);
    batch_.clear();
  }

  /// Waits for the guest as long as it takes: this is the upload's own thread, and a cancel ends the stream.
  void send(std::string_view bytes) {
    try {
      while (!bytes.empty()) bytes.remove_prefix(to_.write(bytes.data(), bytes.size(), -1));
    } catch (const Error& error) {
      if (error.code() != Code::closed) throw;
      wait();  // the agent has given up: its Result says why
      throw;
    }
  }

  /// Throws what the agent's Result says, if it is no success.
  void wait() {
    channel::Piece piece;
    while (to_.next(-1, piece) == channel::Stream::Next::piece) {
    }
    const protocol::Result* result = to_.result();
    if (!result) malformed_answer();
    if (result->code != Code::ok) throw result_error(*result);
  }

  channel::Stream& to_;
  std::string batch_;
};

/// What the stream and its thread share.
struct Upload {
  explicit Upload(std::shared_ptr<channel::Stream> s) : below(std::move(s)) {}

  Slot slot;
  const std::shared_ptr<channel::Stream> below;
  channel::Notifier notify;

  std::mutex mutex;  // guards what follows
  std::condition_variable changed;
  std::deque<std::string> pieces;
  size_t bytes = 0;
  bool finished = false, abandoned = false;
  std::shared_ptr<const protocol::Result> result;

  /// For the thread: the next bytes, waiting for them. Empty at the end.
  std::string_view pull() {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return abandoned || finished || !pieces.empty(); });
    if (abandoned) throw Error(Code::cancelled, "cancelled");
    if (pieces.empty()) return {};
    current = std::move(pieces.front());
    pieces.pop_front();
    bytes -= current.size();
    lock.unlock();
    changed.notify_all();
    notify();
    return current;
  }
  std::string current;

  void run() noexcept {
    protocol::Result outcome;
    try {
      images::TarLimits limits;
      limits.kernel_paths = true;
      images::TarReader reader(images::open_source([this] { return pull(); }), limits);
      TreeSender sender(*below);
      images::unpack(reader, sender);
      outcome = *below->result();
    } catch (const Error& error) {
      outcome.code = error.code();
      outcome.message = error.message();
      for (const auto& [name, value] : error.facts()) {
        if (name == "errno") outcome.error = std::atoi(value.c_str());
        if (name == "limit") outcome.message += " (limit " + value + ")";  // a Result has no facts
      }
    } catch (const std::bad_alloc&) {
      outcome.code = Code::limit;
      outcome.message = "out of memory";
    } catch (const std::exception& error) {
      outcome.code = Code::internal;
      outcome.message = error.what();
    }
    below->cancel();  // nothing, where it has ended
    end(std::move(outcome));
  }

  void end(protocol::Result outcome) noexcept {
    {
      const std::lock_guard lock(mutex);
      if (result) return;
      result = std::make_shared<const protocol::Result>(std::move(outcome));
      pieces.clear();
      bytes = 0;
    }
    changed.notify_all();
    notify();
  }

  void abandon() noexcept {
    {
      const std::lock_guard lock(mutex);
      abandoned = true;
    }
    changed.notify_all();
    below->cancel();
  }
};

class TarPutStream final : public channel::Stream {
 public:
  explicit TarPutStream(std::shared_ptr<Upload> upload) : upload_(std::move(upload)) {}
  ~TarPutStream() override {
    upload_->notify.set({});
    upload_->abandon();
  }

  Next next(int64_t timeout_ms, channel::Piece&) override {
    std::unique_lock lock(upload_->mutex);
    if (!wait(lock, timeout_ms, [&] { return upload_->result != nullptr; })) return Next::again;
    end_seen_ = true;
    return Next::end;
  }
  const protocol::Result* result() const noexcept override { return end_seen_ ? upload_->result.get() : nullptr; }
  uint32_t pid() const noexcept override { return 0; }

  size_t write(const void* data, size_t size, int64_t timeout_ms) override {
    size_t taken = 0;
    {
      std::unique_lock lock(upload_->mutex);
      const auto over = [&] { return upload_->finished || upload_->result != nullptr; };
      const bool ready = wait(lock, timeout_ms, [&] { return over() || size == 0 || upload_->bytes < kTarBufferBytes; });
      if (over()) throw Error(Code::closed, upload_->finished ? "write after finish" : "the stream has ended");
      if (!ready) return 0;
      taken = std::min(size, kTarBufferBytes - upload_->bytes);
      if (taken == 0) return 0;
      upload_->pieces.emplace_back(static_cast<const char*>(data), taken);
      upload_->bytes += taken;
    }
    upload_->changed.notify_all();
    return taken;
  }
  void finish() override {
    {
      const std::lock_guard lock(upload_->mutex);
      upload_->finished = true;
    }
    upload_->changed.notify_all();
  }
  void cancel() noexcept override { upload_->abandon(); }
  void send_signal(int, bool) override { throw Error(Code::invalid, "an upload takes no signals"); }
  void resize(uint32_t, uint32_t) override { throw Error(Code::invalid, "an upload has no terminal"); }

  bool readable() const noexcept override {
    const std::lock_guard lock(upload_->mutex);
    return upload_->result != nullptr;
  }
  bool writable() const noexcept override {
    const std::lock_guard lock(upload_->mutex);
    return upload_->result || (!upload_->finished && upload_->bytes < kTarBufferBytes);
  }
  void set_notify(std::function<void()> hook) override { upload_->notify.set(std::move(hook)); }

 private:
  template <class P>
  bool wait(std::unique_lock<std::mutex>& lock, int64_t timeout_ms, P ready) {
    constexpr int64_t kDayMs = 24 * 3600 * 1000;
    if (timeout_ms >= 0 && timeout_ms <= kDayMs) return upload_->changed.wait_for(lock, std::chrono::milliseconds(timeout_ms), ready);
    upload_->changed.wait(lock, ready);
    return true;
  }

  const std::shared_ptr<Upload> upload_;
  std::atomic<bool> end_seen_ = false;
};

}  // namespace

std::shared_ptr<channel::Stream> make_tar_put_stream(std::shared_ptr<channel::Stream> below) {
  const auto upload = std::make_shared<Upload>(std::move(below));
  auto stream = std::make_shared<TarPutStream>(upload);
  // No signal of the application may be delivered to a thread of ours.
  sigset_t all, saved;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &saved);
  try {
    std::thread([upload] {
      pthread_setname_np(pthread_self(), "stacyvm-tar");
      upload->run();
    }).detach();
  } catch (const std::system_error& error) {
    pthread_sigmask(SIG_SETMASK, &saved, nullptr);
    throw errno_error(Code::limit, error.code().value(), "starting a thread");
  }
  pthread_sigmask(SIG_SETMASK, &saved, nullptr);
  return stream;
}

}  // namespace svm::gate
