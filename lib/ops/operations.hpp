// The operation table. Adding an operation is adding one type here and its handler in gate/handlers.cpp.
#pragma once
#include <tuple>

#include "model/records.hpp"
#include "model/requests.hpp"
#include "model/system.hpp"
#include "model/templates.hpp"
#include "ops/operation.hpp"

namespace svm::ops {

/// Response of stream-shaped operations: the bytes and the final result travel on a stream.
struct Streamed {};

#define SVM_OPERATION(Type, Req, Res, ...) \
  struct Type {                            \
    using Request = Req;                   \
    using Response = Res;                  \
    static constexpr Row row{__VA_ARGS__}; \
  }

SVM_OPERATION(SandboxSpawn, model::SpawnRequest, model::SandboxInfo, "sandbox.spawn", Scope::sandbox_write, ObjectRule::none, Effect::write,
              Shape::unary, "sandbox.spawn", 50, "Starts a sandbox and answers when it runs; or answers the one that a name or an idempotency key stands for.");
SVM_OPERATION(SandboxGet, model::GetRequest, model::SandboxInfo, "sandbox.get", Scope::sandbox_read, ObjectRule::sandbox, Effect::read,
              Shape::unary, "sandbox.get", 1, "One live sandbox, by its id or name.");
SVM_OPERATION(SandboxList, model::ListRequest, model::SandboxList, "sandbox.list", Scope::sandbox_read, ObjectRule::none, Effect::read,
              Shape::unary, "sandbox.list", 5, "Live sandboxes, newest first; with filters, those that pass all of them.");
SVM_OPERATION(SandboxDestroy, model::DestroyRequest, model::Status, "sandbox.destroy", Scope::sandbox_write, ObjectRule::sandbox, Effect::write,
              Shape::unary, "sandbox.destroy", 10, "Ends a sandbox; answers when nothing of it is left.");
SVM_OPERATION(SandboxExtend, model::ExtendRequest, model::SandboxInfo, "sandbox.extend", Scope::sandbox_write, ObjectRule::sandbox, Effect::write,
              Shape::unary, "sandbox.extend", 2, "Sets the expiry to now plus ttl.");
SVM_OPERATION(SandboxUpdate, model::UpdateRequest, model::SandboxInfo, "sandbox.update", Scope::sandbox_write, ObjectRule::sandbox, Effect::write,
              Shape::unary, "sandbox.update", 2, "Replaces the labels of a running sandbox.");
SVM_OPERATION(SandboxStats, model::SandboxIdRequest, model::SandboxStats, "sandbox.stats", Scope::sandbox_read, ObjectRule::sandbox, Effect::read,
              Shape::unary, "sandbox.stats", 5, "What a running sandbox uses now, and its limits.");
SVM_OPERATION(SandboxPrune, model::PruneRequest, model::Pruned, "sandbox.prune", Scope::sandbox_write, ObjectRule::none, Effect::write,
              Shape::unary, "sandbox.prune", 10,
              "Forgets the records and history of sandboxes that have ended, but for those that are to be kept or that an idempotency key stands for.");
SVM_OPERATION(SandboxAdmission, model::SpawnRequest, model::Admission, "sandbox.admission", Scope::sandbox_read, ObjectRule::none, Effect::read,
              Shape::unary, "sandbox.admission", 2, "Whether a spawn would be let in now; starts nothing.");
SVM_OPERATION(TemplateCreate, model::TemplateCreateRequest, model::TemplateInfo, "template.create", Scope::template_write, ObjectRule::none,
              Effect::write, Shape::unary, "template.create", 5, "Stores a template under a name that none has.");
SVM_OPERATION(TemplateList, model::EmptyRequest, model::TemplateList, "template.list", Scope::template_read, ObjectRule::none, Effect::read,
              Shape::unary, "template.list", 5, "Every template, by name.");
SVM_OPERATION(TemplateGet, model::TemplateIdRequest, model::TemplateInfo, "template.get", Scope::template_read, ObjectRule::none, Effect::read,
              Shape::unary, "template.get", 1, "One template.");
SVM_OPERATION(TemplateUpdate, model::TemplateUpdateRequest, model::TemplateInfo, "template.update", Scope::template_write, ObjectRule::none,
              Effect::write, Shape::unary, "template.update", 5, "Replaces a template as a whole.");
SVM_OPERATION(TemplateDelete, model::TemplateIdRequest, model::Status, "template.delete", Scope::template_write, ObjectRule::none, Effect::write,
              Shape::unary, "template.delete", 5, "Removes a template; its sandboxes go on.");
SVM_OPERATION(TemplateSpawn, model::SpawnRequest, model::SandboxInfo, "template.spawn", Scope::sandbox_write, ObjectRule::none, Effect::write,
              Shape::unary, "sandbox.spawn", 50, "Starts a sandbox from a template, and answers when its setup is done.");
SVM_OPERATION(ExecRun, model::ExecRequest, model::ExecResponse, "exec.run", Scope::exec, ObjectRule::sandbox, Effect::write, Shape::unary, "exec",
              10, "Runs a command and answers with its output when it has ended.");
SVM_OPERATION(ExecStart, model::ExecRequest, Streamed, "exec.start", Scope::exec, ObjectRule::sandbox, Effect::write, Shape::stream, "exec", 10,
              "Runs a command whose output, input and end travel on a stream.");
SVM_OPERATION(ExecList, model::ExecListRequest, model::ExecList, "exec.list", Scope::sandbox_read, ObjectRule::none, Effect::read, Shape::unary,
              "exec.list", 5, "Commands that run or ran, newest first, also of sandboxes that have ended.");
SVM_OPERATION(ExecGet, model::ExecGetRequest, model::ExecInfo, "exec.get", Scope::sandbox_read, ObjectRule::none, Effect::read, Shape::unary,
              "exec.get", 1, "One command that runs or ran.");
SVM_OPERATION(ExecAttach, model::ExecAttachRequest, Streamed, "exec.attach", Scope::exec, ObjectRule::sandbox, Effect::write, Shape::stream,
              "exec.attach", 5, "The output of a background command from an offset on, its input and its end.");
SVM_OPERATION(ExecProcesses, model::SandboxIdRequest, model::ProcessList, "exec.processes", Scope::sandbox_read, ObjectRule::sandbox, Effect::read,
              Shape::unary, "exec.processes", 2, "Commands that run, and background commands that have ended and are still known.");
SVM_OPERATION(ExecSignal, model::ExecSignalRequest, model::Status, "exec.signal", Scope::exec, ObjectRule::sandbox, Effect::write, Shape::unary,
              "exec.signal", 2, "Sends a signal to a command.");
SVM_OPERATION(ExecKill, model::ExecKillRequest, model::Status, "exec.kill", Scope::exec, ObjectRule::sandbox, Effect::write, Shape::unary,
              "exec.kill", 2, "Ends a command, and all that descends from it, as cancelled.");
SVM_OPERATION(ExecResize, model::ExecResizeRequest, model::Status, "exec.resize", Scope::exec, ObjectRule::sandbox, Effect::write, Shape::unary,
              "exec.resize", 2, "Sets the size of a command's terminal.");
SVM_OPERATION(SandboxLogs, model::LogsRequest, model::LogLines, "sandbox.logs", Scope::sandbox_read, ObjectRule::sandbox, Effect::read,
              Shape::unary, "sandbox.logs", 2, "The last lines of what the sandbox's commands wrote.");
SVM_OPERATION(SandboxConsole, model::ConsoleRequest, Streamed, "sandbox.console", Scope::sandbox_read, ObjectRule::sandbox, Effect::read,
              Shape::stream, "sandbox.console", 2, "The last 64 KiB of what the sandbox's commands wrote, and on request what comes.");
SVM_OPERATION(FileRead, model::FileReadRequest, Streamed, "file.read", Scope::file_read, ObjectRule::sandbox, Effect::read, Shape::stream,
              "file.read", 5, "Streams the bytes of a regular file.");
SVM_OPERATION(FileWrite, model::FileWriteRequest, model::Status, "file.write", Scope::file_write, ObjectRule::sandbox, Effect::write, Shape::unary,
              "file.write", 5, "Writes a file whole: it appears complete or not at all.");
SVM_OPERATION(FileUpload, model::FileUploadRequest, Streamed, "file.upload", Scope::file_write, ObjectRule::sandbox, Effect::write, Shape::stream,
              "file.write", 5, "Writes a file from a stream; it appears when the stream is finished.");
SVM_OPERATION(FileStaged, model::FileStagedRequest, model::Staged, "file.staged", Scope::file_read, ObjectRule::sandbox, Effect::read, Shape::unary,
              "file.staged", 2, "How much of a named upload has come.");
SVM_OPERATION(FileList, model::FileListRequest, model::FileList, "file.list", Scope::file_read, ObjectRule::sandbox, Effect::read, Shape::unary,
              "file.list", 5, "The entries of a directory, sorted by name.");
SVM_OPERATION(FileStat, model::FileStatRequest, model::FileInfo, "file.stat", Scope::file_read, ObjectRule::sandbox, Effect::read, Shape::unary,
              "file.stat", 2, "What a path is.");
SVM_OPERATION(FileGlob, model::FileGlobRequest, model::PathList, "file.glob", Scope::file_read, ObjectRule::sandbox, Effect::read, Shape::unary,
              "file.glob", 10, "Paths that match a pattern with *, ?, [set] and **.");
SVM_OPERATION(FileSearch, model::FileSearchRequest, model::FileMatches, "file.search", Scope::file_read, ObjectRule::sandbox, Effect::read,
              Shape::unary, "file.search", 20, "Lines that hold a text, in a file or in all files below a directory.");
SVM_OPERATION(FileReplace, model::FileReplaceRequest, model::FileReplaced, "file.replace", Scope::file_write, ObjectRule::sandbox, Effect::write,
              Shape::unary, "file.replace", 10, "Replaces a text in a file, which changes whole or not at all.");
SVM_OPERATION(FileMove, model::FileMoveRequest, model::Status, "file.move", Scope::file_write, ObjectRule::sandbox, Effect::write, Shape::unary,
              "file.move", 5, "Renames a file or directory.");
SVM_OPERATION(FileCopy, model::FileCopyRequest, model::Status, "file.copy", Scope::file_write, ObjectRule::sandbox, Effect::write, Shape::unary,
              "file.copy", 10, "Copies a file, or a tree if asked, inside the sandbox.");
SVM_OPERATION(FileSymlink, model::FileSymlinkRequest, model::Status, "file.symlink", Scope::file_write, ObjectRule::sandbox, Effect::write,
              Shape::unary, "file.symlink", 5, "Makes a symbolic link.");
SVM_OPERATION(FileChmod, model::FileChmodRequest, model::Status, "file.chmod", Scope::file_write, ObjectRule::sandbox, Effect::write, Shape::unary,
              "file.chmod", 5, "Sets the permission bits, the owner and the group of a file or directory.");
SVM_OPERATION(FileMkdir, model::FileMkdirRequest, model::Status, "file.mkdir", Scope::file_write, ObjectRule::sandbox, Effect::write, Shape::unary,
              "file.mkdir", 5, "Makes a directory, with its parents if asked.");
SVM_OPERATION(FileRemove, model::FileRemoveRequest, model::Status, "file.remove", Scope::file_write, ObjectRule::sandbox, Effect::write,
              Shape::unary, "file.remove", 5, "Removes a file, or a tree if asked.");
SVM_OPERATION(FileWatch, model::FileWatchRequest, Streamed, "file.watch", Scope::file_read, ObjectRule::sandbox, Effect::read, Shape::stream,
              "file.watch", 5, "Tells what changes in a directory or below it, as events on a stream.");
SVM_OPERATION(FileTarGet, model::FileTarGetRequest, Streamed, "file.tar_get", Scope::file_read, ObjectRule::sandbox, Effect::read, Shape::stream,
              "file.tar_get", 20, "Streams a tree as a tar archive.");
SVM_OPERATION(FileTarPut, model::FileTarPutRequest, Streamed, "file.tar_put", Scope::file_write, ObjectRule::sandbox, Effect::write, Shape::stream,
              "file.tar_put", 20, "Unpacks a tar archive from a stream into a directory.");
SVM_OPERATION(PortDial, model::PortDialRequest, Streamed, "port.dial", Scope::exec, ObjectRule::sandbox, Effect::write, Shape::stream, "port.dial", 5,
              "Connects to a TCP port of the loopback device or to a unix socket; bytes travel both ways on a stream.");
SVM_OPERATION(PortWait, model::PortWaitRequest, model::Status, "port.wait", Scope::exec, ObjectRule::sandbox, Effect::write, Shape::unary, "port.wait", 5,
              "Answers as soon as something listens on a TCP port or a unix socket.");
SVM_OPERATION(PortList, model::PortListRequest, model::PortList, "port.list", Scope::sandbox_read, ObjectRule::sandbox, Effect::read, Shape::unary,
              "port.list", 2, "TCP sockets that listen inside.");
SVM_OPERATION(ProviderList, model::EmptyRequest, model::ProviderList, "provider.list", Scope::system_read, ObjectRule::none, Effect::read, Shape::unary,
              "provider.list", 2, "Every provider, and whether it is healthy: as of at most 5 seconds ago.");
SVM_OPERATION(ProviderGet, model::ProviderIdRequest, model::ProviderInfo, "provider.get", Scope::system_read, ObjectRule::none, Effect::read,
              Shape::unary, "provider.get", 2, "One provider, and how it is set up.");
SVM_OPERATION(ProviderTest, model::EmptyRequest, model::ProviderTest, "provider.test", Scope::system_read, ObjectRule::none, Effect::read, Shape::unary,
              "provider.test", 5, "Looks at every provider now.");
SVM_OPERATION(QuotaSummary, model::EmptyRequest, model::QuotaSummary, "quota.summary", Scope::system_read, ObjectRule::none, Effect::read, Shape::unary,
              "quota.summary", 1, "How many owners have limits of their own.");
SVM_OPERATION(PoolStatus, model::EmptyRequest, model::PoolStatus, "pool.status", Scope::system_read, ObjectRule::none, Effect::read, Shape::unary,
              "pool.status", 1, "Whether sandboxes are started in advance.");
SVM_OPERATION(SystemHealth, model::EmptyRequest, model::SystemHealth, "system.health", Scope::system_read, ObjectRule::none, Effect::read, Shape::unary,
              "system.health", 1, "That the instance answers.");
SVM_OPERATION(SystemLive, model::EmptyRequest, model::SystemHealth, "system.live", Scope::system_read, ObjectRule::none, Effect::read, Shape::unary,
              "system.live", 1, "That the process is alive.");
SVM_OPERATION(SystemReady, model::EmptyRequest, model::SystemReady, "system.ready", Scope::system_read, ObjectRule::none, Effect::read, Shape::unary,
              "system.ready", 2, "Whether sandboxes can be started.");
SVM_OPERATION(SystemMetrics, model::EmptyRequest, model::SystemMetrics, "system.metrics", Scope::system_read, ObjectRule::none, Effect::read,
              Shape::unary, "system.metrics", 5, "What there is and what was done, in numbers.");
SVM_OPERATION(SystemPrometheus, model::EmptyRequest, model::Text, "system.prometheus", Scope::system_read, ObjectRule::none, Effect::read, Shape::unary,
              "system.metrics", 5, "The same as text for Prometheus.", "text/plain; version=0.0.4; charset=utf-8");
SVM_OPERATION(EventFollow, model::EventFollowRequest, Streamed, "event.follow", Scope::sandbox_read, ObjectRule::none, Effect::read, Shape::stream,
              "event.follow", 5, "Streams what happened after an event, and what happens from then on.");
#undef SVM_OPERATION

/// Every operation, in the order they are listed to callers.
using All = std::tuple<SandboxSpawn, SandboxGet, SandboxList, SandboxDestroy, SandboxExtend, SandboxUpdate, SandboxStats, SandboxPrune, SandboxAdmission, SandboxLogs,
                       SandboxConsole, ExecRun, ExecStart, ExecList, ExecGet, ExecAttach, ExecProcesses, ExecSignal, ExecKill, ExecResize, FileRead,
                       FileWrite, FileUpload, FileStaged, FileList, FileStat, FileGlob, FileSearch, FileReplace, FileMove, FileCopy, FileSymlink, FileChmod, FileMkdir, FileRemove, FileWatch, FileTarGet,
                       FileTarPut, PortDial, PortWait, PortList, TemplateCreate, TemplateList, TemplateGet, TemplateUpdate, TemplateDelete, TemplateSpawn,
                       ProviderList, ProviderGet, ProviderTest, QuotaSummary, PoolStatus, SystemHealth, SystemLive, SystemReady, SystemMetrics, SystemPrometheus,
                       EventFollow>;

}  // namespace svm::ops
