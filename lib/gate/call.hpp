// One call on its way through the stages. Internal to lib/gate.
#pragma once
#include <algorithm>
#include <chrono>
#include <exception>
#include <optional>

#include "core/error.hpp"
#include "core/id.hpp"
#include "gate/audited_stream.hpp"
#include "gate/gate.hpp"
#include "gate/handlers.hpp"
#include "gate/observed.hpp"
#include "gate/trace.hpp"
#include "model/fields.hpp"
#include "model/limits.hpp"

namespace svm::gate {

/// Operations that act on the world write an intent row before and an outcome row after. Reads of our own records do not: the answer is
/// what the store already says, and two commits for each of thousands of list calls would buy nothing; their failures leave one row.
constexpr bool acts(const ops::Row& row) { return row.effect == ops::Effect::write || !ops::reads_records(row.scope); }

template <class O>
class Call {
 public:
  using Request = typename O::Request;

  Call(manager::Manager& manager, Meters& meters, const model::Identity& caller, Request request)
      : act_{manager, caller, meters}, request_(std::move(request)) {}
  Call(manager::Manager& manager, Meters& meters, const model::Identity& caller, const Pairs& pairs, std::string_view body)
      : act_{manager, caller, meters}, pairs_(&pairs), body_(body) {}

  /// Every stage in its order; the last one, audit, also when an earlier one failed.
  AnswerOf<O> pass() {
    if (approve()) attempt([this] { run(); });
    return conclude();
  }

  /// In pieces, for a call that does not wait: begin(), then answered() once `done` was called, which begin() may have done already. Where
  /// begin() answers nullptr there was nothing to begin, and answered() says why.
  std::shared_ptr<Exchange> begin(Exchange::Done done)
    requires Asks<O>
  {
    std::shared_ptr<Exchange> exchange;
    if (approve()) attempt([&] {
      trace_stage(O::row.name, kStages[kRun]);
      exchange = Exchange::start(*question_goes_out(), std::move(plan_), act_.manager.reactor(), std::move(done));
    });
    return exchange;
  }
  AnswerOf<O> answered(Answer answer, const std::exception_ptr& failure)
    requires Asks<O>
  {
    if (!failure_) attempt([&] {
      watched([&] {
        if (failure) std::rethrow_exception(failure);
      });
      answer_.emplace(Handler<O>::answer(act_, request_, std::move(answer)));
    });
    return conclude();
  }

 private:
  /// The stages before run. False: one of them refused.
  bool approve() {
    return attempt([this] {
      for (at_ = 0; at_ < kRun; ++at_) {
        trace_stage(O::row.name, kStages[at_]);
        (this->*kSteps[at_])();
      }
    });
  }

  AnswerOf<O> conclude() {
    trace_stage(O::row.name, kStages[kAudit]);
    if (!failure_ || at_ >= kResolve) act_.meters.count(kPlaceOf<O>, code_, std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - start_).count());
    audit();
    if (failure_) std::rethrow_exception(failure_);
    return std::move(*answer_);
  }

  /// False: it threw, and that is what became of the call.
  template <class F>
  bool attempt(F act) {
    try {
      act();
      return true;
    } catch (const Error& error) {
      errno_ = error_number(error);
      fail(error.code(), error.message());
    } catch (const std::exception&) {
      // Its text may be anything; the log gets the code alone.
      fail(Code::internal, "");
    }
    return false;
  }

  void scope() {
    const std::string_view needed = ops::scope_name(O::row.scope);
    for (const std::string& scope : act_.caller.scopes)
      if (scope == "*" || scope == needed) return;
    throw Error(Code::forbidden, std::string(O::row.name) + " needs the scope " + std::string(needed)).with("scope", std::string(needed));
  }

  // A typed request meets the same bounds as one that was JSON.
  void decode() {
    if (pairs_)
      request_ = model::decode<Request>(*pairs_, body_);
    else
      model::validate(request_);
  }

  void object() {
    if constexpr (O::row.object == ops::ObjectRule::sandbox) {
      constexpr bool kTakesNames = std::is_same_v<O, ops::SandboxGet>;
      const bool is_id = is_random_id(model::kIdPrefix, request_.id);
      if (!is_id && !kTakesNames) throw sandbox_not_found();
      if (is_id) object_ = request_.id;
      act_.object = is_id ? act_.manager.get(request_.id) : act_.manager.get_named(act_.caller.tenant, request_.id);
      object_ = request_.id = act_.object.id;
      if (!may_see(act_.caller, act_.object)) throw sandbox_not_found();
    } else if constexpr (std::is_same_v<Request, model::TemplateCreateRequest>) {
      object_ = request_.body.name;
    } else if constexpr (std::is_same_v<Request, model::TemplateUpdateRequest> || std::is_same_v<Request, model::TemplateIdRequest>) {
      object_ = request_.template_name;
    }
  }

  void resolve() {
    plan_ = Handler<O>::resolve(act_, request_);
    if constexpr (std::is_same_v<typename Handler<O>::Plan, manager::ResolvedSpawn>) object_ = plan_.record.id;
  }

  // From here on the act is on record even if the process dies in the middle of it; when it cannot be recorded it does not happen.
  // Quota belongs here too: the manager reserves it in the transaction that writes a sandbox's record.
  void reserve() {
    if constexpr (acts(O::row)) {
      model::AuditRow intent = row("intent");
      intent.detail = exec_detail(act_.exec_id, model::redact(request_));
      intent_seq_ = act_.manager.audit().append(std::move(intent));
    }
  }

  void run() {
    trace_stage(O::row.name, kStages[kRun]);
    if constexpr (Asks<O>) {
      const auto session = question_goes_out();
      Answer answer;
      watched([&] { answer = exchange(*session, std::move(plan_)); });
      answer_.emplace(Handler<O>::answer(act_, request_, std::move(answer)));
    } else {
      answer_.emplace(Handler<O>::run(act_, request_, plan_));
    }
  }

  std::shared_ptr<providers::Session> question_goes_out()
    requires Asks<O>
  {
    auto session = act_.manager.session(request_.id);
    if constexpr (AsksWatched<O>) Handler<O>::asked(act_, request_);
    return session;
  }

  template <class F>
  void watched(F act) {
    try {
      act();
    } catch ([[maybe_unused]] const Error& error) {
      if constexpr (AsksWatched<O>) Handler<O>::failed(act_, error);
      throw;
    }
  }

  void audit() {
    if (!failure_ && !acts(O::row)) return;
    model::AuditRow outcome = row(failure_ && at_ < kRun ? "denied" : "outcome");
    outcome.intent_seq = intent_seq_;
    if (failure_ && at_ == kRun) tell_failure();
    if constexpr (kIsStream<O>) {
      if (!failure_ && acts(O::row)) {
        if (act_.background) {
          // How it ends is known by its own stream, which the manager keeps; the caller's may come and go.
          auto own = std::make_shared<AuditedStream>(std::move(act_.background), act_.manager.audit(), std::move(outcome), act_.exec_id, false);
          answer_ = std::make_shared<NamedStream>(std::move(*answer_), std::move(act_.exec_id));
          act_.manager.keep(std::move(own));
          return;
        }
        constexpr bool kAttached = std::is_same_v<O, ops::ExecAttach>;
        answer_ = std::make_shared<AuditedStream>(std::move(*answer_), act_.manager.audit(), std::move(outcome), std::move(act_.exec_id), kAttached);
        return;
      }
    }
    outcome.outcome = code_name(code_);
    if constexpr (std::is_same_v<O, ops::SandboxSpawn> || std::is_same_v<O, ops::TemplateSpawn>)
      if (!failure_) outcome.object = answer_->record.id;  // the sandbox that was there already, perhaps
    if constexpr (std::is_same_v<AnswerOf<O>, model::ExecResponse>)
      if (!failure_) message_ = exec_summary(answer_->reason, answer_->exit_code);
    outcome.detail = exec_detail(act_.exec_id, message_);
    try {
      act_.manager.audit().append(std::move(outcome));
    } catch (Error& error) {
      // The call's own failure says more. An act that succeeded unrecorded is reported, with what it acted on: the caller must know
      // that it happened.
      if (failure_) return;
      error.prefix(std::string(O::row.name) + " was done, but its outcome could not be recorded");
      throw std::move(error).with("object", object_);
    }
  }

  /// What was tried and did not work is an event too; what was refused before is the audit log's alone.
  void tell_failure() {
    if (!acts(O::row)) return;
    model::SandboxRecord sandbox = act_.object;
    if (sandbox.id.empty()) sandbox.tenant_id = act_.caller.tenant;
    if (sandbox.id.empty() && is_random_id(model::kIdPrefix, object_)) sandbox.id = object_;
    std::string_view told = message_;
    if constexpr (std::is_same_v<Request, model::SpawnRequest>) told = manager::told_to_all(told);
    Witness(act_.manager.events(), sandbox).failed(O::row.name, code_, errno_, told);
  }

  using Step = void (Call::*)();
  static constexpr size_t kResolve = 3, kRun = 5, kAudit = 6;
  static constexpr std::array<Step, kRun> kSteps = {&Call::scope, &Call::decode, &Call::object, &Call::resolve, &Call::reserve};
  static_assert(kStages[kResolve] == "resolve" && kStages[kRun] == "run" && kStages[kAudit] == "audit" && kAudit + 1 == kStages.size());

  void fail(Code code, std::string message) {
    failure_ = std::current_exception();
    code_ = code;
    message_ = std::move(message);
  }

  model::AuditRow row(std::string_view phase) const {
    model::AuditRow row;
    row.actor = act_.caller.actor;
    row.tenant = act_.caller.tenant;
    row.source = act_.caller.source;
    row.request_id = act_.caller.request_id;
    row.action = O::row.verb;
    row.object = object_.empty() ? claimed_object() : object_;
    row.phase = phase;
    return row;
  }

  // Which sandbox a call that was denied early wanted: only what has the form of an id may enter the log.
  std::string claimed_object() const {
    if constexpr (O::row.object == ops::ObjectRule::sandbox) {
      std::string_view id = request_.id;
      if (pairs_ && id.empty())
        for (const auto& [name, value] : *pairs_)
          if (name == "id") id = value;
      if (is_random_id(model::kIdPrefix, id)) return std::string(id);
    }
    return "";
  }

  using Clock = std::chrono::steady_clock;  // finer than core's
  const Clock::time_point start_ = Clock::now();
  Act act_;
  const Pairs* pairs_ = nullptr;  // nullptr: the request came typed
  std::string_view body_;
  Request request_{};
  typename Handler<O>::Plan plan_{};
  std::optional<AnswerOf<O>> answer_;
  std::string object_;
  int64_t intent_seq_ = 0;
  size_t at_ = 0;
  std::exception_ptr failure_;
  Code code_ = Code::ok;
  int errno_ = 0;
  std::string message_;
};

}  // namespace svm::gate
