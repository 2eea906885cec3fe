// A manager without sandboxes: what the C ABI does with streams, ops and handles can be driven step by step, without privileges.
#pragma once
#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "core/id.hpp"
#include "manager/manager.hpp"

namespace fakes {

using namespace svm;

/// A channel stream whose agent is the test.
class Stream : public channel::Stream {
 public:
  explicit Stream(std::atomic<int>& alive) : alive_(alive) { ++alive_; }
  ~Stream() override { --alive_; }

  // the agent's side
  void push(protocol::DataKind kind, std::string data) { change([&] { pieces_.push_back({kind, std::move(data)}); }); }
  void out(std::string data) { push(protocol::DataKind::out, std::move(data)); }
  void exit(int code) {
    protocol::ExecResult exec;
    exec.exit_code = code;
    exec.wall_us = 5;
    protocol::Result result;
    protocol::encode(result.body, exec);
    finish_with(std::move(result));
  }
  void fail(Code code, std::string message) {
    protocol::Result result;
    result.code = code;
    result.message = std::move(message);
    finish_with(std::move(result));
  }
  void finish_with(protocol::Result result) {
    change([&] {
      if (!result_) result_ = std::move(result);
    });
  }
  void grant(size_t bytes) { change([&] { credit_ += bytes; }); }
  std::string input() const { return locked([&] { return input_; }); }
  bool finished() const { return locked([&] { return finished_; }); }
  int cancels() const { return locked([&] { return cancels_; }); }
  int kills() const { return locked([&] { return kills_; }); }
  std::pair<uint32_t, uint32_t> size() const { return locked([&] { return size_; }); }
  std::vector<int> signals() const { return locked([&] { return signals_; }); }

  // channel::Stream
  Next next(int64_t, channel::Piece& out) override {
    const std::lock_guard lock(mutex_);
    if (!pieces_.empty()) {
      out = std::move(pieces_.front());
      pieces_.pop_front();
      return Next::piece;
    }
    if (!result_) return Next::again;
    ended_ = true;
    return Next::end;
  }
  const protocol::Result* result() const noexcept override { return ended_ ? &*result_ : nullptr; }
  uint32_t pid() const noexcept override { return 7; }
  size_t write(const void* data, size_t size, int64_t) override {
    const std::lock_guard lock(mutex_);
    if (result_ || finished_) throw Error(Code::closed, "the stream takes no more");
    const size_t n = std::min(size, credit_);
    input_.append(static_cast<const char*>(data), n);
    credit_ -= n;
    return n;
  }
  void finish() override {
    const std::lock_guard lock(mutex_);
    finished_ = true;
  }
  void cancel() noexcept override {
    change([&] { ++cancels_; });
  }
  void kill() noexcept override {
    change([&] { ++kills_, ++cancels_; });
  }
  void resize(uint32_t rows, uint32_t columns) override {
    const std::lock_guard lock(mutex_);
    size_ = {rows, columns};
  }
  void send_signal(int signal, bool group) override {
    const std::lock_guard lock(mutex_);
    signals_.push_back(group ? -signal : signal);
  }
  bool readable() const noexcept override {
    return locked([&] { return !pieces_.empty() || result_.has_value(); });
  }
  bool writable() const noexcept override {
    return locked([&] { return credit_ > 0 || result_.has_value() || finished_; });
  }
  void set_notify(std::function<void()> hook) override {
    const std::lock_guard lock(hook_mutex_);
    hook_ = std::move(hook);
  }

 private:
  template <class F>
  std::invoke_result_t<F> locked(F&& f) const {
    const std::lock_guard lock(mutex_);
    return f();
  }
  template <class F>
  void change(F&& f) {
    {
      const std::lock_guard lock(mutex_);
      f();
    }
    const std::lock_guard lock(hook_mutex_);
    if (hook_) hook_();
  }

  std::atomic<int>& alive_;
  mutable std::mutex mutex_;
  std::mutex hook_mutex_;
  std::function<void()> hook_;
  std::deque<channel::Piece> pieces_;
  std::optional<protocol::Result> result_;
  std::atomic<bool> ended_{false};
  size_t credit_ = 1 << 20;
  std::string input_;
  bool finished_ = false;
  int cancels_ = 0, kills_ = 0;
  std::pair<uint32_t, uint32_t> size_;
  std::vector<int> signals_;
};

/// What the tests see of everything that was made.
struct World {
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<std::shared_ptr<Stream>> streams;  // every request, in order
  std::vector<std::shared_ptr<channel::Stream>> kept;  // what the manager keeps
  std::map<std::string, bool> sandboxes;         // id -> live
  int spawns_entered = 0, destroys = 0, managers = 0, shutdowns = 0;
  bool hold_spawns = false;                      // spawn() waits while set
  std::atomic<int> streams_alive{0};
  bool answer_at_once = false;                   // every exec prints its command and exits 0

  template <class F>
  void wait(F&& condition) {
    std::unique_lock lock(mutex);
    changed.wait(lock, condition);
  }
  void release_spawns() {
    const std::lock_guard lock(mutex);
    hold_spawns = false;
    changed.notify_all();
  }
  std::shared_ptr<Stream> last() {
    const std::lock_guard lock(mutex);
    return streams.back();
  }
  size_t live() {
    const std::lock_guard lock(mutex);
    size_t n = 0;
    for (const auto& [id, live] : sandboxes) n += live;
    return n;
  }
};

class AgentSession : public providers::Session {
 public:
  explicit AgentSession(std::shared_ptr<World> world) : world_(std::move(world)) {}
  std::shared_ptr<channel::Stream> request(protocol::Op, std::string payload) override {
    auto stream = std::make_shared<Stream>(world_->streams_alive);
    protocol::Request request;
    if (world_->answer_at_once && protocol::decode(payload, request)) {
      stream->out(request.exec.shell);
      stream->exit(0);
    }
    const std::lock_guard lock(world_->mutex);
    world_->streams.push_back(stream);
    world_->changed.notify_all();
    return stream;
  }
  const std::vector<std::string>& enforced() const noexcept override { return none_; }
  const std::vector<std::string>& unenforced() const noexcept override { return none_; }
  providers::Usage usage() override { return {}; }
  void expire(int64_t) noexcept override {}
  void destroy(int64_t) override {}

 private:
  std::shared_ptr<World> world_;
  std::vector<std::string> none_;
};

class Log : public audit::Log {
 public:
  int64_t append(model::AuditRow&&) override { return ++seq_; }
  void flush() override {}

 private:
  std::atomic<int64_t> seq_{0};
};

class Manager : public manager::Manager {
 public:
  explicit Manager(std::shared_ptr<World> world) : world_(std::move(world)) { count(1); }
  ~Manager() override { count(-1); }

  audit::Log& audit() noexcept override { return log_; }
  events::Log& events() noexcept override { return *events_; }
  channel::Reactor& reactor() noexcept override { return reactor_; }
  const model::Settings& settings() const noexcept override { return settings_; }
  const std::string& version() const noexcept override { return version_; }
  int64_t uptime_ms() const noexcept override { return 0; }
  model::SandboxCounts counts() override { return {}; }
  std::vector<model::ProviderHealth> providers(bool) override { return {}; }
  model::StringMap provider_config(std::string_view) override { return {}; }
  model::Admission admission(const model::SpawnRequest&, const model::Identity&) override { return {}; }
  model::TemplateRecord create_template(std::string_view, model::Template body) override { return {"", std::move(body)}; }
  model::TemplateRecord update_template(std::string_view, model::Template body) override { return {"", std::move(body)}; }
  void delete_template(std::string_view, std::string_view) override {}
  model::TemplateRecord get_template(std::string_view, std::string_view) override { throw Error(Code::not_found, "template not found"); }
  std::vector<model::TemplateRecord> templates(std::string_view) override { return {}; }
  manager::ResolvedSpawn resolve(const model::SpawnRequest& request, const model::Identity&, bool) override {
    manager::ResolvedSpawn spawn;
    spawn.record.id = random_id("sb-");
    spawn.record.image = request.image;
    return spawn;
  }
  model::SandboxRecord spawn(manager::ResolvedSpawn spawn) override {
    std::unique_lock lock(world_->mutex);
    ++world_->spawns_entered;
    world_->changed.notify_all();
    world_->changed.wait(lock, [&] { return !world_->hold_spawns || closed_; });
    if (closed_) throw Error(Code::closed, "the manager is closed");
    spawn.record.state = model::State::running;
    world_->sandboxes[spawn.record.id] = true;
    world_->changed.notify_all();
    return spawn.record;
  }
  model::SandboxRecord get(std::string_view id) override {
    const std::lock_guard lock(world_->mutex);
    if (closed_) throw Error(Code::closed, "the manager is closed");
    const auto found = world_->sandboxes.find(std::string(id));
    if (found == world_->sandboxes.end() || !found->second) throw Error(Code::not_found, "sandbox not found");
    model::SandboxRecord record;
    record.id = id;
    record.state = model::State::running;
    return record;
  }
  void look_at_limits(std::string_view, int64_t) override {}
  model::SandboxRecord get_named(std::string_view, std::string_view) override { throw Error(Code::not_found, "sandbox not found"); }
  std::vector<model::SandboxRecord> list(uint32_t, std::string_view) override { return {}; }
  std::vector<model::ExecRecord> execs(const store::Store::ExecQuery&) override { return {}; }
  std::optional<model::ExecRecord> exec(std::string_view) override { return std::nullopt; }
  model::SandboxRecord extend(std::string_view id, int64_t) override { return get(id); }
  model::SandboxStats stats(std::string_view) override { return {}; }
  model::SandboxRecord relabel(std::string_view id, model::StringMap) override { return get(id); }
  uint32_t prune(std::string_view, int64_t) override { return 0; }
  void destroy(std::string_view id, std::string_view, int64_t) override {
    get(id);
    const std::lock_guard lock(world_->mutex);
    world_->sandboxes[std::string(id)] = false;
    ++world_->destroys;
    world_->changed.notify_all();
  }
  std::shared_ptr<providers::Session> session(std::string_view id) override {
    get(id);
    return std::make_shared<AgentSession>(world_);
  }
  void keep(std::shared_ptr<channel::Stream> stream) override {
    const std::lock_guard lock(world_->mutex);
    world_->kept.push_back(std::move(stream));
  }
  void leave(int64_t timeout_ms) override { shutdown(timeout_ms); }
  void shutdown(int64_t) override {
    std::vector<std::shared_ptr<Stream>> streams;
    {
      const std::lock_guard lock(world_->mutex);
      closed_ = true;
      ++world_->shutdowns;
      for (auto& [id, live] : world_->sandboxes) live = false;
      streams = world_->streams;
      world_->changed.notify_all();
    }
    for (const auto& stream : streams) stream->fail(Code::closed, "the sandbox is gone");
  }

 private:
  void count(int by) {
    const std::lock_guard lock(world_->mutex);
    world_->managers += by;
  }

  const model::Settings settings_;
  const std::string version_ = "1.2.3";
  std::shared_ptr<World> world_;
  Log log_;
  const std::unique_ptr<store::Store> store_ = store::open_sqlite_memory();
  const std::unique_ptr<events::Log> events_ = events::Log::create(*store_, false, {});
  channel::Reactor reactor_;
  bool closed_ = false;
};

}  // namespace fakes
