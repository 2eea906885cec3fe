#include "gate/gate.hpp"

#include "gate/call.hpp"
#include "gate/running.hpp"

namespace svm::gate {
namespace {

// Calls visit.operator()<O>() for the operation of that name. Error not_found when there is none.
template <class Visit, class... O>
auto find_operation(std::string_view name, Visit visit, std::tuple<O...>*) {
  decltype((visit.template operator()<O>(), ...)) found;
  if (((O::row.name == name && (found = visit.template operator()<O>(), true)) || ...)) return found;
  // The name is the caller's text: it is repeated only where it could be an operation's.
  Error error(Code::not_found, "no such operation");
  const bool plain = name.size() <= 64 && name.find_first_not_of("abcdefghijklmnopqrstuvwxyz._") == name.npos;
  throw std::move(error).with("operation", plain ? std::string(name) : "");
}

Error wrong_shape(const ops::Row& row) {
  const std::string_view what = row.shape == ops::Shape::stream ? " answers with a stream" : " does not answer with a stream";
  return Error(Code::invalid, std::string(row.name) + std::string(what)).with("operation", std::string(row.name));
}

ops::All* const kAll = nullptr;

/// As the caller gets it: JSON, or what the row's media type says.
template <class O>
std::string answer_text(typename O::Response&& answer) {
  static_assert((O::row.media == "application/json") != std::is_same_v<typename O::Response, model::Text>);
  if constexpr (std::is_same_v<typename O::Response, model::Text>)
    return std::move(answer.text);
  else
    return model::encode(answer);
}

}  // namespace

template <class O>
typename O::Response Gate::run(const model::Identity& caller, typename O::Request request) {
  static_assert(!kIsStream<O>, "this operation is started, not run");
  return Call<O>(manager_, meters_, caller, std::move(request)).pass();
}

template <class O>
std::shared_ptr<channel::Stream> Gate::start(const model::Identity& caller, typename O::Request request) {
  static_assert(kIsStream<O>, "this operation is run, not started");
  return Call<O>(manager_, meters_, caller, std::move(request)).pass();
}

std::string Gate::call(const model::Identity& caller, std::string_view operation, const Pairs& pairs, std::string_view body) {
  return find_operation(operation, [&]<class O>() -> std::string {
    if constexpr (kIsStream<O>)
      throw wrong_shape(O::row);
    else
      return answer_text<O>(Call<O>(manager_, meters_, caller, pairs, body).pass());
  }, kAll);
}

std::shared_ptr<channel::Stream> Gate::call_stream(const model::Identity& caller, std::string_view operation, const Pairs& pairs, std::string_view body) {
  return find_operation(operation, [&]<class O>() -> std::shared_ptr<channel::Stream> {
    if constexpr (kIsStream<O>)
      return Call<O>(manager_, meters_, caller, pairs, body).pass();
    else
      throw wrong_shape(O::row);
  }, kAll);
}

std::shared_ptr<Running> Gate::begin(OwnedCall owned, Executor execute, Done done) {
  std::shared_ptr<Running> running;
  std::optional<std::string> json;
  std::exception_ptr failure;
  try {
    running = find_operation(owned.operation, [&]<class O>() -> std::shared_ptr<Running> {
      if constexpr (kIsStream<O>) {
        throw wrong_shape(O::row);
      } else if constexpr (Asks<O>) {
        const auto call = std::make_shared<AskingCall<O>>(manager_, meters_, std::move(owned), std::move(execute), done);
        call->begin();
        return call;
      } else {
        json = answer_text<O>(Call<O>(manager_, meters_, owned.caller, Pairs(owned.pairs.begin(), owned.pairs.end()), owned.body).pass());
        return nullptr;
      }
    }, kAll);
  } catch (...) {
    failure = std::current_exception();
  }
  if (json || failure) done(std::move(json).value_or(""), failure);
  return running;
}

bool Gate::holds_thread(std::string_view operation) noexcept {
  return [&]<class... O>(std::tuple<O...>*) {
    // Reads of our own records take microseconds; whatever acts may take as long as a sandbox does.
    return ((O::row.name == operation && !kIsStream<O> && !Asks<O> && O::row.effect == ops::Effect::write) || ...);
  }(kAll);
}

#define SVM_RUN(O) template ops::O::Response Gate::run<ops::O>(const model::Identity&, ops::O::Request);
#define SVM_START(O) template std::shared_ptr<channel::Stream> Gate::start<ops::O>(const model::Identity&, ops::O::Request);
SVM_RUN(SandboxSpawn)
SVM_RUN(SandboxGet)
SVM_RUN(SandboxList)
SVM_RUN(SandboxDestroy)
SVM_RUN(SandboxExtend)
SVM_RUN(SandboxUpdate)
SVM_RUN(SandboxStats)
SVM_RUN(SandboxPrune)
SVM_RUN(SandboxAdmission)
SVM_RUN(TemplateCreate)
SVM_RUN(TemplateList)
SVM_RUN(TemplateGet)
SVM_RUN(TemplateUpdate)
SVM_RUN(TemplateDelete)
SVM_RUN(TemplateSpawn)
SVM_RUN(ProviderList)
SVM_RUN(ProviderGet)
SVM_RUN(ProviderTest)
SVM_RUN(QuotaSummary)
SVM_RUN(PoolStatus)
SVM_RUN(SystemHealth)
SVM_RUN(SystemLive)
SVM_RUN(SystemReady)
SVM_RUN(SystemMetrics)
SVM_RUN(SystemPrometheus)
SVM_RUN(ExecRun)
SVM_START(ExecStart)
SVM_RUN(ExecList)
SVM_RUN(ExecGet)
SVM_START(ExecAttach)
SVM_RUN(ExecProcesses)
SVM_RUN(ExecSignal)
SVM_RUN(ExecKill)
SVM_RUN(ExecResize)
SVM_RUN(SandboxLogs)
SVM_START(SandboxConsole)
SVM_START(FileRead)
SVM_RUN(FileWrite)
SVM_START(FileUpload)
SVM_RUN(FileList)
SVM_RUN(FileStaged)
SVM_RUN(FileStat)
SVM_RUN(FileGlob)
SVM_RUN(FileSearch)
SVM_RUN(FileReplace)
SVM_RUN(FileMove)
SVM_RUN(FileCopy)
SVM_RUN(FileSymlink)
SVM_RUN(FileChmod)
SVM_RUN(FileMkdir)
SVM_RUN(FileRemove)
SVM_START(FileWatch)
SVM_START(FileTarGet)
SVM_START(FileTarPut)
SVM_START(PortDial)
SVM_RUN(PortWait)
SVM_RUN(PortList)
SVM_START(EventFollow)

}  // namespace svm::gate
