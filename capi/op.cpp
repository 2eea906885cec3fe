#include "op.hpp"

#include <system_error>

#include "options.hpp"
#include "thread.hpp"

namespace svm::capi {

namespace {

/// The failure that is being handled.
Error caught() {
  try {
    throw;
  } catch (const Error& error) {
    return error;
  } catch (const std::bad_alloc&) {
    return Error(Code::limit, "out of memory");
  } catch (const std::exception& error) {
    return Error(Code::internal, error.what());
  }
}

}  // namespace

std::shared_ptr<Op> Op::begin(const std::shared_ptr<Session>& session, Gives gives, Work work, Stop stop) {
  const auto op = std::make_shared<Op>(session, gives);
  Pool& pool = stop ? session->instance().transfers() : session->instance().waiting();
  op->stop_ = std::move(stop);
  const auto task = [session, work = std::move(work)] {
    const Lease lease = session->enter();
    return work(lease.door(), session->caller());
  };
  return submit(pool, op, [op, task] { op->run(task); });
}

std::shared_ptr<Op> Op::begin(const std::shared_ptr<Session>& session, gate::OwnedCall call) {
  const auto op = std::make_shared<Op>(session, Gives::json);
  // A server's answer is waited for on a thread that the call takes by itself.
  const bool holds = gate::Gate::holds_thread(call.operation) && !session->instance().is_remote();
  Pool& pool = holds ? session->instance().waiting() : session->instance().quick();
  return submit(pool, op, [op, call = std::make_shared<gate::OwnedCall>(std::move(call))] { op->run(std::move(*call)); });
}

std::shared_ptr<Op> Op::begin(const std::shared_ptr<Instance>& instance, Task task) {
  const auto op = std::make_shared<Op>(instance, Gives::session);
  return submit(instance->quick(), op, [op, task = std::move(task)] { op->run(task); });
}

std::shared_ptr<Op> Op::begin(Task task) {
  const auto op = std::make_shared<Op>(std::shared_ptr<Instance>(), Gives::instance);
  try {
    start_thread("stacyvm-open", [op, task = std::move(task)] { op->run(task); });
  } catch (const std::system_error& error) {
    throw errno_error(Code::limit, error.code().value(), "starting a thread");
  }
  return op;
}

std::shared_ptr<Op> Op::submit(Pool& pool, const std::shared_ptr<Op>& op, Pool::Job job) {
  op->parent()->adopt(op);
  try {
    pool.submit(std::move(job));
  } catch (...) {
    op->part();
    throw;
  }
  return op;
}

Parent* Op::parent() const noexcept {
  if (session_) return session_.get();
  return instance_.get();
}

void Op::part() noexcept {
  if (Parent* known = parent()) known->forget(*this);
}

void Op::run(const Task& task) noexcept {
  {
    const std::lock_guard lock(mutex_);
    if (done_) return;  // cancelled or closed before it began
  }
  Outcome outcome;
  std::optional<Error> error;
  try {
    outcome = task();
  } catch (...) {
    error = caught();
  }
  finish(std::move(outcome), std::move(error));
}

void Op::run(gate::OwnedCall call) noexcept {
  {
    const std::lock_guard lock(mutex_);
    if (done_) return;
  }
  try {
    const auto self = shared_from_this();
    const auto instance = session_->instance_ptr();
    // The gate is needed until the call has ended, not for as long as somebody remembers it.
    const auto lease = std::make_shared<std::optional<Lease>>(session_->enter());
    auto execute = [instance](std::function<void()> job) {
      Pool& pool = instance->is_remote() ? instance->waiting() : instance->quick();
      try {
        pool.submit(job);
      } catch (const Error&) {
        job();  // no room or no thread: then here
      }
    };
    auto running = (*lease)->door().begin(session_->caller(), std::move(call), execute, [self, lease](std::string json, std::exception_ptr failure) {
      std::optional<Error> error;
      try {
        if (failure) std::rethrow_exception(failure);
      } catch (...) {
        error = caught();
      }
      self->finish({std::move(json), {}}, std::move(error));
      lease->reset();
    });
    bool stop = false;
    {
      const std::lock_guard lock(mutex_);
      if (done_)
        stop = true;  // it has ended, or was cancelled before there was anything to cancel
      else
        running_ = running;
    }
    if (stop && running) running->cancel();
  } catch (...) {
    finish({}, caught());
  }
}

void Op::stop_running() noexcept {
  std::shared_ptr<gate::Running> running;
  {
    const std::lock_guard lock(mutex_);
    running.swap(running_);
  }
  if (running) running->cancel();
}

void Op::finish(Outcome outcome, std::optional<Error> error) {
  std::optional<Outcome> orphan;
  std::shared_ptr<gate::Running> running;  // released without the lock
  {
    const std::lock_guard lock(mutex_);
    if (done_ || abandoned_) orphan = std::exchange(outcome, {});
    if (!done_) {
      outcome_ = std::move(outcome);
      error_ = std::move(error);
      done_ = true;
      wake();
    }
    running.swap(running_);
  }
  if (orphan) drop(std::move(*orphan));
}

/// What nobody will take.
void Op::drop(Outcome outcome) noexcept {
  if (!outcome.sandbox.empty() && outcome.made) destroy_later(std::move(outcome.sandbox));
  if (outcome.instance) outcome.instance->close();
  if (outcome.opened) {
    outcome.opened->end();
    outcome.opened->instance().forget(*outcome.opened);
  }
}

/// Ends an op before its call has: whatever the call brings then has no owner.
void Op::finish_early(Code code, const char* message) noexcept {
  const std::lock_guard lock(mutex_);
  if (done_) return;
  error_.emplace(code, message);
  done_ = true;
  if (stop_) *stop_ = true;
  wake();
}

void Op::cancel() noexcept {
  finish_early(Code::cancelled, "the call was cancelled");
  stop_running();
}

void Op::abandon() noexcept {
  Outcome orphan;
  {
    const std::lock_guard lock(mutex_);
    abandoned_ = true;
    if (stop_) *stop_ = true;
    if (done_ && !error_ && !taken_) orphan = std::exchange(outcome_, {});
  }
  drop(std::move(orphan));
}

void Op::end() noexcept {
  finish_early(Code::closed, "the session or instance of the call is closed");
  stop_running();
  abandon();
  const std::lock_guard lock(mutex_);
  error_.emplace(Code::closed, "the session or instance of the call is closed");
  wake();
}

/// Not here: a close must not wait. When the instance is closed its sandboxes are gone anyway.
void Op::destroy_later(std::string id) noexcept {
  const auto instance = session_->instance_ptr();
  const auto destroy = [instance, caller = session_->caller(), id = std::move(id)] {
    try {
      const Lease lease = instance->enter();
      lease.door().run<ops::SandboxDestroy>(caller, {id});
    } catch (const Error& error) {
      if (error.code() != Code::closed && error.code() != Code::not_found)
        instance->log(LogLevel::error, "destroying " + id + ", which nobody took: " + error.message());
    } catch (const std::exception& error) {
      instance->log(LogLevel::error, "destroying " + id + ", which nobody took: " + error.what());
    }
  };
  try {
    instance->waiting().submit(destroy);
  } catch (const Error& error) {
    if (error.code() != Code::closed) destroy();  // no thread is to be had: late is better than never
  }
}

int32_t Op::succeeded() const {
  if (error_) throw Error(*error_);
  return done_ ? STACYVM_OK : STACYVM_E_AGAIN;
}

int32_t Op::wait(const Deadline& deadline) {
  std::unique_lock lock(mutex_);
  while (!done_)
    if (!deadline.wait(lock, changed_)) break;
  return succeeded();
}

int32_t Op::json(std::string& out) {
  const std::lock_guard lock(mutex_);
  const int32_t code = succeeded();
  if (code == STACYVM_OK) out = outcome_.json;
  return code;
}

int32_t Op::take_sandbox(std::string& id) {
  const std::lock_guard lock(mutex_);
  if (gives_ != Gives::sandbox) throw invalid("op", "the call starts no sandbox");
  const int32_t code = succeeded();
  if (code == STACYVM_OK) {
    id = outcome_.sandbox;
    taken_ = true;
  }
  return code;
}

template <class T>
int32_t Op::take_once(std::shared_ptr<T>& from, std::shared_ptr<T>& out, const char* what) {
  const int32_t code = succeeded();
  if (code != STACYVM_OK) return code;
  if (taken_) throw Error(Code::conflict, std::string("op: the ") + what + " has been taken");
  out = std::move(from);
  taken_ = true;
  return code;
}

int32_t Op::take_instance(std::shared_ptr<Instance>& out) {
  const std::lock_guard lock(mutex_);
  if (gives_ != Gives::instance) throw invalid("op", "the call opens no instance");
  return take_once(outcome_.instance, out, "instance");
}

int32_t Op::take_session(std::shared_ptr<Session>& out) {
  const std::lock_guard lock(mutex_);
  if (gives_ != Gives::session) throw invalid("op", "the call opens no session");
  return take_once(outcome_.opened, out, "session");
}

stacyvm_op* make_op(const std::shared_ptr<Session>& session, Op::Gives gives, Op::Work work, Op::Stop stop) {
  session->enter();  // a closed session is told here, not on the op
  auto handle = make_handle<stacyvm_op>(std::shared_ptr<Op>());  // before the work begins: nothing may fail after that
  handle->core = Op::begin(session, gives, std::move(work), std::move(stop));
  return handle.release();
}

stacyvm_op* make_op(const std::shared_ptr<Session>& session, gate::OwnedCall call) {
  session->enter();
  auto handle = make_handle<stacyvm_op>(std::shared_ptr<Op>());
  handle->core = Op::begin(session, std::move(call));
  return handle.release();
}

stacyvm_op* make_op(const std::shared_ptr<Instance>& instance, Op::Task task) {
  instance->enter();
  auto handle = make_handle<stacyvm_op>(std::shared_ptr<Op>());
  handle->core = Op::begin(instance, std::move(task));
  return handle.release();
}

stacyvm_op* make_op(Op::Task task) {
  auto handle = make_handle<stacyvm_op>(std::shared_ptr<Op>());
  handle->core = Op::begin(std::move(task));
  return handle.release();
}

}  // namespace svm::capi

using namespace svm;
using namespace svm::capi;

int32_t stacyvm_op_fd(stacyvm_op* op) {
  if (!is_handle(op) || is_inherited(op)) return -1;
  return op->core->fd(STACYVM_READY_DONE);
}

int32_t stacyvm_op_wait(stacyvm_op* op, int64_t timeout_ms, stacyvm_error** err) {
  return guard(err, [&] {
    Op& core = *core_of(op, "op");
    return core.wait(Deadline(timeout_ms));
  });
}

int32_t stacyvm_op_json(stacyvm_op* op, char** json_out, stacyvm_error** err) {
  return guard(err, [&] {
    Op& core = *core_of(op, "op");
    require_output(json_out, "json_out");
    std::string json;
    const int32_t code = core.json(json);
    if (code == STACYVM_OK) *json_out = static_cast<char*>(copy_out(json));
    return code;
  });
}

int32_t stacyvm_op_sandbox(stacyvm_op* op, stacyvm_sandbox** out, stacyvm_error** err) {
  return guard(err, [&] {
    Op& core = *core_of(op, "op");
    require_output(out, "out");
    auto sandbox = std::make_shared<Sandbox>(Sandbox{core.session_ptr(), {}});
    auto handle = make_handle<stacyvm_sandbox>(sandbox);
    const int32_t code = core.take_sandbox(sandbox->id);
    if (code == STACYVM_OK) *out = handle.release();
    return code;
  });
}

int32_t stacyvm_op_instance(stacyvm_op* op, stacyvm_instance** out, stacyvm_error** err) {
  return guard(err, [&] {
    Op& core = *core_of(op, "op");
    require_output(out, "out");
    auto handle = make_handle<stacyvm_instance>(std::shared_ptr<Instance>());
    const int32_t code = core.take_instance(handle->core);
    if (code == STACYVM_OK) *out = handle.release();
    return code;
  });
}

int32_t stacyvm_op_session(stacyvm_op* op, stacyvm_session** out, stacyvm_error** err) {
  return guard(err, [&] {
    Op& core = *core_of(op, "op");
    require_output(out, "out");
    auto handle = make_handle<stacyvm_session>(std::shared_ptr<Session>());
    const int32_t code = core.take_session(handle->core);
    if (code == STACYVM_OK) *out = handle.release();
    return code;
  });
}

void stacyvm_op_cancel(stacyvm_op* op) {
  if (is_handle(op) && !is_inherited(op)) op->core->cancel();
}

void stacyvm_op_close(stacyvm_op* op) {
  close_handle(op, [](Op& core) {
    core.leave_queue();
    core.abandon();
    core.part();
  });
}
