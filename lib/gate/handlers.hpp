// What each operation does once the gate has let it through. Internal to lib/gate: nothing else may include this.
#pragma once
#include <memory>
#include <string>
#include <type_traits>

#include "channel/channel.hpp"
#include "gate/exchange.hpp"
#include "manager/manager.hpp"
#include "ops/operations.hpp"

namespace svm::gate {

inline constexpr std::string_view kExecPrefix = "ex-";

/// What the stages found out about a call.
struct Act {
  manager::Manager& manager;
  const model::Identity& caller;
  model::SandboxRecord object{};  // ObjectRule::sandbox: the sandbox, which the caller may see
  std::string exec_id{};          // of the command that the call starts; given when it is resolved
};

template <class O>
inline constexpr bool kIsStream = O::row.shape == ops::Shape::stream;
template <class O>
using AnswerOf = std::conditional_t<kIsStream<O>, std::shared_ptr<channel::Stream>, typename O::Response>;

/// No primary definition: a row of the operation table without a handler does not compile.
///   resolve  fills defaults, refuses what this caller may not ask for; nothing has happened yet
///   run      acts
template <class O>
struct Handler;

/// Where there is nothing to resolve.
struct NoPlan {};

#define SVM_HANDLER(O, PlanType)                                                     \
  template <>                                                                        \
  struct Handler<ops::O> {                                                           \
    using Plan = PlanType;                                                           \
    static Plan resolve(Act& act, ops::O::Request& request);                         \
    static AnswerOf<ops::O> run(Act& act, ops::O::Request& request, Plan& plan);     \
  };
SVM_HANDLER(SandboxSpawn, manager::ResolvedSpawn)
SVM_HANDLER(SandboxGet, NoPlan)
SVM_HANDLER(SandboxList, NoPlan)
SVM_HANDLER(SandboxDestroy, NoPlan)
SVM_HANDLER(SandboxExtend, NoPlan)
SVM_HANDLER(SandboxUpdate, NoPlan)
SVM_HANDLER(SandboxStats, NoPlan)
SVM_HANDLER(SandboxPrune, NoPlan)
SVM_HANDLER(ExecRun, Message)
SVM_HANDLER(ExecStart, Message)
SVM_HANDLER(ExecList, NoPlan)
SVM_HANDLER(ExecGet, NoPlan)
SVM_HANDLER(FileRead, Message)
SVM_HANDLER(FileWrite, Message)
SVM_HANDLER(FileUpload, Message)
SVM_HANDLER(FileList, Message)
SVM_HANDLER(FileStat, Message)
SVM_HANDLER(FileGlob, Message)
SVM_HANDLER(FileMove, Message)
SVM_HANDLER(FileChmod, Message)
SVM_HANDLER(FileMkdir, Message)
SVM_HANDLER(FileRemove, Message)
SVM_HANDLER(FileWatch, Message)
SVM_HANDLER(FileTarGet, Message)
SVM_HANDLER(FileTarPut, Message)
SVM_HANDLER(PortDial, Message)
SVM_HANDLER(PortWait, Message)
SVM_HANDLER(PortList, Message)
SVM_HANDLER(EventFollow, NoPlan)
#undef SVM_HANDLER

/// For the audit row of a command that ended: "exited 0", "timeout 137".
std::string exec_summary(std::string_view reason, int32_t exit_code);
/// Details of a command's audit rows begin with its id, and a blank. Unchanged without one.
std::string exec_detail(std::string_view exec_id, std::string detail);
std::string_view exec_reason_name(protocol::ExecReason reason) noexcept;

/// Error not_found. One text for unknown, destroyed and another tenant's, so that they cannot be told apart.
Error sandbox_not_found();
/// Whether the caller may know of the sandbox.
bool may_see(const model::Identity& caller, const model::SandboxRecord& record) noexcept;

}  // namespace svm::gate
