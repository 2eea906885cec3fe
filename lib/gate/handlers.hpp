// What each operation does once the gate has let it through. Internal to lib/gate: nothing else may include this.
#pragma once
#include <memory>
#include <string>
#include <tuple>
#include <type_traits>

#include "channel/channel.hpp"
#include "gate/exchange.hpp"
#include "gate/meters.hpp"
#include "manager/manager.hpp"
#include "ops/operations.hpp"

namespace svm::gate {

inline constexpr std::string_view kExecPrefix = "ex-";

class Witness;

/// An operation's place in ops::All.
template <class O, class... All>
constexpr size_t place_of(std::tuple<All...>*) {
  size_t place = 0;
  (void)((std::is_same_v<O, All> || (++place, false)) || ...);
  return place;
}
template <class O>
inline constexpr size_t kPlaceOf = place_of<O>(static_cast<ops::All*>(nullptr));

/// What the stages found out about a call.
struct Act {
  manager::Manager& manager;
  const model::Identity& caller;
  Meters& meters;
  model::SandboxRecord object{};  // ObjectRule::sandbox: the sandbox, which the caller may see
  std::string exec_id{};          // of the command that the call starts, given when it is resolved, or acts on
  std::shared_ptr<Witness> witness{};  // of the command that it starts
  std::shared_ptr<channel::Stream> background{};  // of a background command: what tells its end, whoever is attached
};

template <class O>
inline constexpr bool kIsStream = O::row.shape == ops::Shape::stream;
template <class O>
using AnswerOf = std::conditional_t<kIsStream<O>, std::shared_ptr<channel::Stream>, typename O::Response>;

/// No primary definition: a row of the operation table without a handler does not compile.
///   resolve  fills defaults, refuses what this caller may not ask for; nothing has happened yet
///   run      acts, or
///   answer   makes the response of what the sandbox's agent said to the question that resolve() has made
template <class O>
struct Handler;

/// An operation that is one question to the agent. It needs no thread while the agent works.
template <class O>
concept Asks = requires { &Handler<O>::answer; };
/// One that wants to know when its question goes out (asked), and that it failed (failed).
template <class O>
concept AsksWatched = Asks<O> && requires { &Handler<O>::asked; };

/// Where there is nothing to resolve.
struct NoPlan {};

#define SVM_HANDLER(O, PlanType)                                                     \
  template <>                                                                        \
  struct Handler<ops::O> {                                                           \
    using Plan = PlanType;                                                           \
    static Plan resolve(Act& act, ops::O::Request& request);                         \
    static AnswerOf<ops::O> run(Act& act, ops::O::Request& request, Plan& plan);     \
  };
#define SVM_ASKING_HANDLER(O)                                                                        \
  template <>                                                                                        \
  struct Handler<ops::O> {                                                                           \
    using Plan = Question;                                                                           \
    static Question resolve(Act& act, ops::O::Request& request);                                     \
    static ops::O::Response answer(Act& act, ops::O::Request& request, Answer&& answer);             \
  };
SVM_HANDLER(SandboxSpawn, manager::ResolvedSpawn)
SVM_HANDLER(SandboxGet, NoPlan)
SVM_HANDLER(SandboxList, NoPlan)
SVM_HANDLER(SandboxDestroy, NoPlan)
SVM_HANDLER(SandboxExtend, NoPlan)
SVM_HANDLER(SandboxUpdate, NoPlan)
SVM_HANDLER(SandboxStats, NoPlan)
SVM_HANDLER(SandboxPrune, NoPlan)
SVM_HANDLER(SandboxAdmission, NoPlan)
SVM_HANDLER(TemplateCreate, NoPlan)
SVM_HANDLER(TemplateList, NoPlan)
SVM_HANDLER(TemplateGet, NoPlan)
SVM_HANDLER(TemplateUpdate, NoPlan)
SVM_HANDLER(TemplateDelete, NoPlan)
SVM_HANDLER(TemplateSpawn, manager::ResolvedSpawn)
SVM_HANDLER(ProviderList, NoPlan)
SVM_HANDLER(ProviderGet, NoPlan)
SVM_HANDLER(ProviderTest, NoPlan)
SVM_HANDLER(QuotaSummary, NoPlan)
SVM_HANDLER(PoolStatus, NoPlan)
SVM_HANDLER(SystemHealth, NoPlan)
SVM_HANDLER(SystemLive, NoPlan)
SVM_HANDLER(SystemReady, NoPlan)
SVM_HANDLER(SystemMetrics, NoPlan)
SVM_HANDLER(SystemPrometheus, NoPlan)
SVM_HANDLER(ExecStart, Message)
SVM_HANDLER(ExecList, NoPlan)
SVM_HANDLER(ExecGet, NoPlan)
SVM_HANDLER(ExecAttach, Message)
SVM_ASKING_HANDLER(ExecProcesses)
SVM_ASKING_HANDLER(ExecSignal)
SVM_ASKING_HANDLER(ExecKill)
SVM_ASKING_HANDLER(ExecResize)
SVM_HANDLER(SandboxLogs, NoPlan)
SVM_HANDLER(SandboxConsole, Message)
SVM_HANDLER(FileRead, Message)
SVM_ASKING_HANDLER(FileWrite)
SVM_HANDLER(FileUpload, Message)
SVM_ASKING_HANDLER(FileStaged)
SVM_ASKING_HANDLER(FileList)
SVM_ASKING_HANDLER(FileStat)
SVM_ASKING_HANDLER(FileGlob)
SVM_ASKING_HANDLER(FileSearch)
SVM_ASKING_HANDLER(FileReplace)
SVM_ASKING_HANDLER(FileMove)
SVM_ASKING_HANDLER(FileCopy)
SVM_ASKING_HANDLER(FileSymlink)
SVM_ASKING_HANDLER(FileChmod)
SVM_ASKING_HANDLER(FileMkdir)
SVM_ASKING_HANDLER(FileRemove)
SVM_HANDLER(FileWatch, Message)
SVM_HANDLER(FileTarGet, Message)
SVM_HANDLER(FileTarPut, Message)
SVM_HANDLER(PortDial, Message)
SVM_ASKING_HANDLER(PortWait)
SVM_ASKING_HANDLER(PortList)
SVM_HANDLER(EventFollow, NoPlan)

template <>
struct Handler<ops::ExecRun> {
  using Plan = Question;
  static Question resolve(Act& act, model::ExecRequest& request);
  static void asked(Act& act, model::ExecRequest& request);
  static void failed(Act& act, const Error& error);
  static model::ExecResponse answer(Act& act, model::ExecRequest& request, Answer&& answer);
};
#undef SVM_HANDLER
#undef SVM_ASKING_HANDLER

/// For the audit row of a command that ended: "exited 0", "timeout 137".
std::string exec_summary(std::string_view reason, int32_t exit_code);
/// Details of a command's audit rows begin with its id, and a blank. Unchanged without one.
std::string exec_detail(std::string_view exec_id, std::string detail);
std::string_view exec_reason_name(protocol::ExecReason reason) noexcept;

/// Metrics as Prometheus reads them (text format 0.0.4).
std::string prometheus_text(const model::SystemMetrics& metrics);

/// Error not_found. One text for unknown, destroyed and another tenant's, so that they cannot be told apart.
Error sandbox_not_found();
/// A path of the host, and not the name of an image. A relative one without "./" is only ever looked up for a local caller
/// (images::resolve), so this need not guess at file names.
bool names_host_path(std::string_view image) noexcept;
/// Error forbidden where a caller that is not local names one.
void refuse_host_path(const model::Identity& caller, std::string_view image);
/// A spawn with what its template says, if it names one; Error not_found, or what this caller may not ask for.
manager::ResolvedSpawn resolve_spawn(Act& act, model::SpawnRequest& request);
model::SandboxInfo run_spawn(Act& act, manager::ResolvedSpawn&& plan);
/// The request with what the template says wherever the request says nothing. Labels and environment: of both, the request's first.
void apply_template(const model::Template& body, model::SpawnRequest& request);
/// Runs the commands one after another. Throws Error invalid, field "setup[N]", for the first one that does not end well.
void run_setup(providers::Session& session, const std::vector<std::string>& setup);

/// The record as the caller may see it.
model::SandboxInfo shown(const model::Identity& caller, model::SandboxRecord&& record);
/// Whether the caller may know of the sandbox.
bool may_see(const model::Identity& caller, const model::SandboxRecord& record) noexcept;

}  // namespace svm::gate
