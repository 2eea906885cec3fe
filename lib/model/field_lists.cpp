// The field lists: the wire's names, bounds and documentation of everything that callers send and receive.
#include "model/common_fields.hpp"

namespace svm::model {
namespace {

// ---- requests

constexpr Field kMountFields[] = {
    field<K::bytes, &Mount::host>("host", "Absolute path on the host.").size(1, kMaxPathBytes).as(Format::absolute).required(),
    field<K::bytes, &Mount::guest>("guest", "Absolute path inside.").size(1, kMaxPathBytes).as(Format::absolute).required(),
    field<K::flag, &Mount::writable>("writable", "Whether the sandbox may change it."),
};

constexpr std::string_view kProfiles[] = {"", "default", "debug", "build"};
constexpr std::string_view kNetworks[] = {"", "none"};

constexpr Field kSpawnFields[] = {
    field<K::text, &SpawnRequest::image>("image", "\"host\", a rootfs directory, a rootfs archive or an image reference; empty: the instance's default.")
        .size(0, kMaxImageBytes)
        .as(Format::line),
    field<K::text, &SpawnRequest::provider>("provider", "Who builds the boundary; empty: the instance's default.").size(0, kMaxNameBytes).as(Format::label),
    field<K::mebibytes, &SpawnRequest::memory_bytes>("memory_mb", "Memory limit in MiB. Written: enforced, or the spawn fails.")
        .range(kMinMemoryBytes, kMaxMemoryBytes)
        .or_zero("1024"),
    field<K::mebibytes, &SpawnRequest::disk_bytes>("disk_mb", "Limit of written files in MiB. Written: enforced, or the spawn fails.")
        .range(kMinDiskBytes, kMaxDiskBytes)
        .or_zero("1024"),
    field<K::cpus, &SpawnRequest::milli_cpus>("vcpus", "CPU limit. Written: enforced, or the spawn fails.")
        .range(kMinMilliCpus, kMaxMilliCpus)
        .or_zero("1"),
    field<K::integer, &SpawnRequest::pids>("pids", "Limit of processes and threads. Written: enforced, or the spawn fails.")
        .range(kMinPids, kMaxPids)
        .or_zero("256"),
    ttl_field<&SpawnRequest::ttl_ms>("How long it lives.").or_zero("\"30m0s\""),
    env_field<&SpawnRequest::env>("Environment that every command starts from."),
    metadata_field<&SpawnRequest::metadata>("Labels."),
    field<K::word, &SpawnRequest::profile>("profile", "What commands may do: default, debug (ptrace), build (package installs).").of(kProfiles),
    user_field<&SpawnRequest::user>(),
    field<K::word, &SpawnRequest::network>("network", "none: loopback only.").of(kNetworks),
    field<K::objects, &SpawnRequest::mounts>("mounts", "Host files shown inside. Local callers only.").items(kMaxMounts),
    field<K::flag, &SpawnRequest::best_effort>("best_effort", "Go without limits that this host cannot enforce."),
    field<K::text, &SpawnRequest::owner_id>("owner_id", "A label of the caller's; grants nothing.").size(0, kMaxOwnerBytes).as(Format::label),
    field<K::text, &SpawnRequest::name>("name", "A name that no other live sandbox of the tenant has; letters, digits, '.', '_' and '-'; does not begin with sb-.")
        .size(0, kMaxSandboxNameBytes)
        .as(Format::name),
    field<K::flag, &SpawnRequest::get_or_create>("get_or_create", "Answer the live sandbox of that name, if what it was made from is the same."),
    field<K::text, &SpawnRequest::idempotency_key>("idempotency_key", "The same key with the same request within 24 hours answers the same sandbox.")
        .size(0, kMaxIdempotencyKeyBytes)
        .as(Format::line),
    field<K::duration_ms, &SpawnRequest::timeout_ms>("timeout", "Of commands that have none of their own; 0: none.").range(0, kMaxTimeoutMs),
    field<K::text, &SpawnRequest::template_name>("template", "A template: what it says holds where this request says nothing.").size(0, kMaxSandboxNameBytes).as(Format::name),
};

void check_spawn(const void* object) {
  const auto& spawn = *static_cast<const SpawnRequest*>(object);
  size_t total = 0;
  check_environment(spawn.env, total);
  if (spawn.name.starts_with(kIdPrefix)) refuse_field("name", "begins with sb-, as ids do");
  if (spawn.get_or_create && spawn.name.empty()) refuse_field("name", "is missing: get_or_create asks for a sandbox by name");
}

constexpr std::span<const Field> kNoFields;

constexpr Field kIdFields[] = {id_field<&SandboxIdRequest::id>()};

constexpr Field kDestroyFields[] = {
    id_field<&DestroyRequest::id>(),
    field<K::duration_ms, &DestroyRequest::keep_ms>("keep", "How long its record and history stay readable at least; 0: the ordinary retention.").range(0, kMaxKeepMs),
};

constexpr Field kUpdateFields[] = {
    id_field<&UpdateRequest::id>(),
    metadata_field<&UpdateRequest::metadata>("The new labels, instead of the old ones.").required(),
};

constexpr Field kPruneFields[] = {
    field<K::duration_ms, &PruneRequest::older_than_ms>("older_than", "Only sandboxes that ended at least so long ago; 0: all that ended.").range(0, kMaxKeepMs),
};

constexpr std::string_view kLiveStates[] = {"", "creating", "running", "destroying"};

constexpr Field kListFields[] = {
    field<K::integer, &ListRequest::limit>("limit", "Most sandboxes to answer.").range(1, kMaxListLimit).or_zero("1000"),
    field<K::text, &ListRequest::after>("after", "Only sandboxes older than this id: the next page.").size(0, kMaxIdBytes).as(Format::line),
    field<K::list, &ListRequest::labels>("label", "KEY=VALUE: only sandboxes with all of these labels.")
        .items(kMaxLabelFilters)
        .size(1, kMaxMetadataKeyBytes + 1 + kMaxMetadataValueBytes)
        .as(Format::text),
    field<K::word, &ListRequest::state>("state", "Only sandboxes in this state.").of(kLiveStates),
    field<K::text, &ListRequest::name>("name", "Only the sandbox of this name.").size(0, kMaxSandboxNameBytes).as(Format::name),
    field<K::text, &ListRequest::owner_id>("owner_id", "Only sandboxes with this label of the caller's.").size(0, kMaxOwnerBytes).as(Format::label),
};

void check_list(const void* object) {
  for (const std::string& label : static_cast<const ListRequest*>(object)->labels)
    if (label.find('=') == label.npos || label[0] == '=') refuse_field("label", "is not KEY=VALUE");
}

constexpr Field kExtendFields[] = {
    id_field<&ExtendRequest::id>(),
    ttl_field<&ExtendRequest::ttl_ms>("The new expiry is now plus this.").required(),
};

constexpr std::string_view kExecModes[] = {"", "shell", "argv"};

constexpr Field kExecFields[] = {
    id_field<&ExecRequest::id>(),
    field<K::text, &ExecRequest::command>("command", "Shell text, or with mode argv the program.").size(1, kMaxArgumentBytes).as(Format::argument).required(),
    field<K::list, &ExecRequest::args>("args", "Further arguments; with mode shell they are quoted and appended.")
        .items(kMaxArgs)
        .size(0, kMaxArgumentBytes)
        .as(Format::argument),
    field<K::word, &ExecRequest::mode>("mode", "shell (the default): /bin/sh -c command; argv: no shell.").of(kExecModes),
    env_field<&ExecRequest::env>("Over the sandbox's environment."),
    field<K::bytes, &ExecRequest::workdir>("workdir", "Absolute path; empty: the default.").size(0, kMaxPathBytes).as(Format::absolute),
    user_field<&ExecRequest::user>(),
    field<K::duration_ms, &ExecRequest::timeout_ms>("timeout", "After this every process of the command is killed; 0: the sandbox's timeout; -1ms: never.").range(-1, kMaxTimeoutMs),
    field<K::bytes, &ExecRequest::stdin_data>("stdin", "Standard input, then its end.").size(0, kMaxStdinBytes).as(Format::blob).keeping(Keep::size),
    field<K::flag, &ExecRequest::use_stdin>("use_stdin", "exec.start: the caller writes standard input to the stream."),
    field<K::flag, &ExecRequest::merge>("merge_output", "stderr into stdout, in order."),
    field<K::integer, &ExecRequest::output_limit>("output_limit", "Bytes of output after which the command is killed; 0: 16 MiB, on a stream none.")
        .range(0, static_cast<int64_t>(kMaxOutputLimit)),
    field<K::flag, &ExecRequest::tty>("tty", "exec.start: a terminal for input and both outputs."),
    field<K::integer, &ExecRequest::rows>("rows", "Of the terminal.").range(1, kMaxTerminalSide).or_zero("24"),
    field<K::integer, &ExecRequest::cols>("cols", "Of the terminal.").range(1, kMaxTerminalSide).or_zero("80"),
    field<K::flag, &ExecRequest::background>("background", "exec.start: it goes on when its stream is closed; exec.attach comes back to it."),
    field<K::integer, &ExecRequest::ring_bytes>("ring_bytes", "Of a background command: how many of the last bytes of its output are kept.")
        .range(static_cast<int64_t>(kMinRingBytes), static_cast<int64_t>(kMaxRingBytes))
        .or_zero("262144"),
    field_without_member(K::ignored, "stream", "Which operation was called says whether the answer is a stream."),
};

void check_exec(const void* object) {
  const auto& exec = *static_cast<const ExecRequest*>(object);
  size_t total = 0;
  if (exec.mode == "argv") {
    total = exec.command.size() + 1;
    for (const std::string& argument : exec.args) total += argument.size() + 1;
  } else {
    const size_t size = shell_join(exec.command, exec.args).size();
    if (size > kMaxArgumentBytes) refuse_field("command", "it and its quoted arguments are too long for a shell command", kMaxArgumentBytes);
    total = size + 1;
  }
  check_environment(exec.env, total);
  if (exec.tty && exec.merge) refuse_field("merge_output", "a terminal has one output");
  if (!exec.tty && exec.rows != 0) refuse_field("rows", "is for a terminal");
  if (!exec.tty && exec.cols != 0) refuse_field("cols", "is for a terminal");
  if (!exec.background && exec.ring_bytes != 0) refuse_field("ring_bytes", "is for a background command");
}

constexpr std::string_view kExecStates[] = {"", "running", "ended"};

constexpr Field kExecListFields[] = {
    field<K::integer, &ExecListRequest::limit>("limit", "Most commands to answer.").range(1, kMaxListLimit).or_zero("1000"),
    field<K::text, &ExecListRequest::after>("after", "Only commands that started before this one: the next page.").size(0, kMaxIdBytes).as(Format::line),
    field<K::text, &ExecListRequest::sandbox_id>("sandbox_id", "Only commands of this sandbox, which may have ended.").size(0, kMaxIdBytes).as(Format::line),
    field<K::word, &ExecListRequest::state>("state", "running or ended; empty: both.").of(kExecStates),
};

constexpr Field kExecGetFields[] = {field<K::text, &ExecGetRequest::exec_id>("exec_id", "The command's id.").size(1, kMaxIdBytes).as(Format::line).required()};

constexpr auto kExec = &ExecInfo::record;

constexpr Field kExecInfoFields[] = {
    field<K::text, kExec, &ExecRecord::id>("exec_id", "The command's id.").written(),
    field<K::text, kExec, &ExecRecord::sandbox_id>("sandbox_id", "Where it ran.").written(),
    field<K::text, kExec, &ExecRecord::tenant_id>("tenant_id", "Whose it is."),
    field<K::text, kExec, &ExecRecord::command>("command", "The beginning of its shell text or arguments.").written(),
    field<K::flag, kExec, &ExecRecord::shell>("shell", "Whether a shell was given the text.").written(),
    field<K::flag, kExec, &ExecRecord::pty>("pty", "Whether it had a terminal."),
    field<K::flag, kExec, &ExecRecord::background>("background", "Whether it outlives its stream."),
    field<K::text, kExec, &ExecRecord::user>("user", "As whom, where that was asked for."),
    field<K::bytes, kExec, &ExecRecord::workdir>("workdir", "Where, if that was asked for.").as(Format::blob),
    field<K::time_ms, kExec, &ExecRecord::started_ms>("started_at", "When it started.").written(),
    field<K::time_ms, kExec, &ExecRecord::ended_ms>("ended_at", "When it ended; absent while it runs."),
    field<K::text, kExec, &ExecRecord::reason>("reason", "Why it ended: exited, signalled, timeout, oom, output_limit, cancelled, failed (to start), lost (its sandbox ended before it)."),
    field<K::integer, kExec, &ExecRecord::exit_code>("exit_code", "128 + signal where a signal ended it.").written(),
    field<K::integer, kExec, &ExecRecord::signal>("signal", "The signal that ended it, or 0.").written(),
    field<K::duration_us, kExec, &ExecRecord::wall_us>("duration", "How long it ran.").written(),
    field<K::integer, kExec, &ExecRecord::cpu_us>("cpu_us", "CPU time in microseconds.").written(),
    field<K::integer, kExec, &ExecRecord::memory_peak>("memory_peak_bytes", "Most memory of its largest process.").written(),
    field<K::integer, kExec, &ExecRecord::out_bytes>("stdout_bytes", "Bytes of standard output that were taken from the command.").written(),
    field<K::integer, kExec, &ExecRecord::err_bytes>("stderr_bytes", "The same of standard error.").written(),
    field<K::text, kExec, &ExecRecord::error>("error", "Why it could not be started."),
};
constexpr Field kExecListAnswerFields[] = {field<K::objects, &ExecList::items>("", "Commands, newest first.").items(kMaxListLimit).written()};

constexpr Field kEventFollowFields[] = {
    field<K::integer, &EventFollowRequest::after>("after", "Only events with a larger id; 0: all that are kept; -1: only those to come.").range(-1, INT64_MAX - 1),
    field<K::list, &EventFollowRequest::types>("types", "Only events of these types.").items(kMaxEventTypes).size(1, kMaxNameBytes).as(Format::line),
    field<K::text, &EventFollowRequest::sandbox_id>("sandbox_id", "Only events of this sandbox.").size(0, kMaxIdBytes).as(Format::line),
};

template <auto Member>
consteval Field exec_id_field() {
  return field<K::text, Member>("exec_id", "The command's id.").size(1, kMaxIdBytes).as(Format::line).required();
}

constexpr Field kExecAttachFields[] = {
    id_field<&ExecAttachRequest::id>(),
    exec_id_field<&ExecAttachRequest::exec_id>(),
    field<K::integer, &ExecAttachRequest::from_offset>("from_offset", "First byte of the output, both outputs together; 9223372036854775807: what comes from now on."),
};

constexpr Field kExecSignalFields[] = {
    id_field<&ExecSignalRequest::id>(),
    exec_id_field<&ExecSignalRequest::exec_id>(),
    field<K::integer, &ExecSignalRequest::signal>("signal", "Linux signal number.").range(1, kMaxSignal).required(),
    field<K::flag, &ExecSignalRequest::group>("group", "To its process group, not to its first process alone."),
};

constexpr Field kExecKillFields[] = {id_field<&ExecKillRequest::id>(), exec_id_field<&ExecKillRequest::exec_id>()};

constexpr Field kExecResizeFields[] = {
    id_field<&ExecResizeRequest::id>(),
    exec_id_field<&ExecResizeRequest::exec_id>(),
    field<K::integer, &ExecResizeRequest::rows>("rows", "Of its terminal.").range(1, kMaxTerminalSide).required(),
    field<K::integer, &ExecResizeRequest::cols>("cols", "Of its terminal.").range(1, kMaxTerminalSide).required(),
};

constexpr Field kLogsFields[] = {
    id_field<&LogsRequest::id>(),
    field<K::integer, &LogsRequest::lines>("lines", "Most lines.").range(1, kMaxLogLines).or_zero("100"),
};

constexpr Field kConsoleFields[] = {
    id_field<&ConsoleRequest::id>(),
    field<K::flag, &ConsoleRequest::follow>("follow", "Go on with what comes."),
};

constexpr Field kFileReadFields[] = {
    id_field<&FileReadRequest::id>(),
    path_field<&FileReadRequest::path>("path", "Absolute path of a regular file."),
    field<K::integer, &FileReadRequest::offset>("offset", "First byte.").range(0, INT64_MAX - 1),
    field<K::integer, &FileReadRequest::length>("length", "Most bytes; absent: to the end."),
    user_field<&FileReadRequest::user>(),
};

constexpr Field kFileWriteFields[] = {
    id_field<&FileWriteRequest::id>(),
    path_field<&FileWriteRequest::path>("path", "Absolute path."),
    field<K::bytes, &FileWriteRequest::content>("content", "The whole file.").size(0, kMaxContentBytes).as(Format::blob).keeping(Keep::size),
    mode_field<&FileWriteRequest::mode>("Permission bits of a new file."),
    field<K::flag, &FileWriteRequest::parents>("parents", "Make missing directories."),
    field<K::flag, &FileWriteRequest::exclusive>("exclusive", "Fail if the path exists."),
    field<K::flag, &FileWriteRequest::append>("append", "Add to the end of what is there."),
    user_field<&FileWriteRequest::user>(),
};

void check_file_write(const void* object) {
  const auto& write = *static_cast<const FileWriteRequest*>(object);
  if (write.exclusive && write.append) refuse_field("append", "cannot be together with exclusive");
}

constexpr Field kFileUploadFields[] = {
    id_field<&FileUploadRequest::id>(),
    path_field<&FileUploadRequest::path>("path", "Absolute path."),
    mode_field<&FileUploadRequest::mode>("Permission bits of a new file."),
    field<K::flag, &FileUploadRequest::parents>("parents", "Make missing directories."),
    field<K::flag, &FileUploadRequest::exclusive>("exclusive", "Fail if the path exists."),
    user_field<&FileUploadRequest::user>(),
    field<K::text, &FileUploadRequest::upload>("upload", "A name under which what has come survives the stream.").size(0, kMaxUploadNameBytes).as(Format::name),
    field<K::integer, &FileUploadRequest::offset>("offset", "Go on here; it must be what has come.").range(0, INT64_MAX - 1),
    field<K::flag, &FileUploadRequest::restart>("restart", "Drop what has come, and begin anew."),
};

void check_file_upload(const void* object) {
  const auto& upload = *static_cast<const FileUploadRequest*>(object);
  if (upload.upload.empty() && upload.offset != 0) refuse_field("offset", "needs an upload");
  if (upload.upload.empty() && upload.restart) refuse_field("restart", "needs an upload");
  if (upload.restart && upload.offset != 0) refuse_field("offset", "cannot be together with restart");
}

constexpr Field kFileStagedFields[] = {
    id_field<&FileStagedRequest::id>(),
    path_field<&FileStagedRequest::path>("path", "Absolute path."),
    field<K::text, &FileStagedRequest::upload>("upload", "The upload's name.").size(1, kMaxUploadNameBytes).as(Format::name).required(),
    user_field<&FileStagedRequest::user>(),
};

constexpr Field kFileListFields[] = {
    id_field<&FileListRequest::id>(),
    field<K::bytes, &FileListRequest::path>("path", "Absolute path of a directory; empty: /.").size(0, kMaxPathBytes).as(Format::absolute),
    entries_field<&FileListRequest::limit>(),
    field<K::integer, &FileListRequest::depth>("depth", "Levels: 1 the directory itself. Links and other file systems are not entered.").range(1, kMaxListDepth),
    user_field<&FileListRequest::user>(),
};

constexpr Field kFileStatFields[] = {
    id_field<&FileStatRequest::id>(),
    path_field<&FileStatRequest::path>("path", "Absolute path."),
    field<K::flag, &FileStatRequest::follow>("follow", "Describe what a symlink leads to."),
    user_field<&FileStatRequest::user>(),
};

constexpr Field kFileGlobFields[] = {
    id_field<&FileGlobRequest::id>(),
    path_field<&FileGlobRequest::pattern>("pattern", "Absolute pattern: *, ?, [set], and ** for any number of directories."),
    entries_field<&FileGlobRequest::limit>(),
    user_field<&FileGlobRequest::user>(),
};

constexpr Field kFileSearchFields[] = {
    id_field<&FileSearchRequest::id>(),
    path_field<&FileSearchRequest::path>("path", "Absolute path of a file, or of a directory: then all files below it. Links and other file systems are not entered."),
    field<K::bytes, &FileSearchRequest::text>("text", "What a line must hold, literally.").size(1, kMaxSearchBytes).as(Format::blob).keeping(Keep::size).required(),
    entries_field<&FileSearchRequest::limit>(),
    user_field<&FileSearchRequest::user>(),
};

void check_file_search(const void* object) {
  if (static_cast<const FileSearchRequest*>(object)->text.find('\n') != std::string::npos) refuse_field("text", "must not have a newline");
}

constexpr Field kFileReplaceFields[] = {
    id_field<&FileReplaceRequest::id>(),
    path_field<&FileReplaceRequest::path>("path", "Absolute path of a regular file."),
    field<K::bytes, &FileReplaceRequest::text>("text", "What is replaced wherever it is, literally.").size(1, kMaxSearchBytes).as(Format::blob).keeping(Keep::size).required(),
    field<K::bytes, &FileReplaceRequest::replacement>("replacement", "What is put in its place.").size(0, kMaxReplacementBytes).as(Format::blob).keeping(Keep::size),
    user_field<&FileReplaceRequest::user>(),
};

constexpr Field kFileMoveFields[] = {
    id_field<&FileMoveRequest::id>(),
    path_field<&FileMoveRequest::old_path>("old_path", "Absolute path of what is moved."),
    path_field<&FileMoveRequest::new_path>("new_path", "Its new absolute path. Missing directories above it are made."),
    field<K::flag, &FileMoveRequest::replace>("replace", "Replace what is at the new path."),
    user_field<&FileMoveRequest::user>(),
};

constexpr Field kFileCopyFields[] = {
    id_field<&FileCopyRequest::id>(),
    path_field<&FileCopyRequest::path>("path", "Absolute path of what is copied; of a symbolic link the link itself."),
    path_field<&FileCopyRequest::new_path>("new_path", "Absolute path of the copy. Missing directories above it are made."),
    field<K::flag, &FileCopyRequest::recursive>("recursive", "Copy a directory with all it holds. FIFOs, sockets, devices and other file systems in it are an error."),
    field<K::flag, &FileCopyRequest::replace>("replace", "Replace what is at the new path: a file, or an empty directory by a directory."),
    user_field<&FileCopyRequest::user>(),
};

constexpr Field kFileSymlinkFields[] = {
    id_field<&FileSymlinkRequest::id>(),
    path_field<&FileSymlinkRequest::path>("path", "Absolute path of the link. Missing directories above it are made."),
    field<K::bytes, &FileSymlinkRequest::target>("target", "Where it points: a path inside the sandbox, from the link's directory on or absolute; it need not exist.")
        .size(1, kMaxPathBytes)
        .as(Format::argument)
        .required(),
    field<K::flag, &FileSymlinkRequest::replace>("replace", "Replace what is at the path, unless that is a directory."),
    user_field<&FileSymlinkRequest::user>(),
};

template <auto Member>
consteval Field owner_field(std::string_view name, std::string_view doc) {
  return field<K::text, Member>(name, doc).size(0, kMaxNameBytes).as(Format::line);
}

constexpr Field kFileChmodFields[] = {
    id_field<&FileChmodRequest::id>(),
    path_field<&FileChmodRequest::path>("path", "Absolute path. A symbolic link stands for what it leads to."),
    mode_field<&FileChmodRequest::mode>("The new permission bits. One of mode, owner and group is needed.").or_absent(kKeepMode),
    user_field<&FileChmodRequest::user>(),
    owner_field<&FileChmodRequest::owner>("owner", "The new owner: a name of the sandbox's /etc/passwd or a number; empty: it stays."),
    owner_field<&FileChmodRequest::group>("group", "The new group: a name of the sandbox's /etc/group or a number; empty: it stays."),
};

void check_file_chmod(const void* object) {
  const auto& chmod = *static_cast<const FileChmodRequest*>(object);
  if (chmod.mode == kKeepMode && chmod.owner.empty() && chmod.group.empty()) refuse_field("mode", "is missing: one of mode, owner and group is needed");
}

constexpr Field kFileMkdirFields[] = {
    id_field<&FileMkdirRequest::id>(),
    path_field<&FileMkdirRequest::path>("path", "Absolute path."),
    mode_field<&FileMkdirRequest::mode>("Permission bits."),
    field<K::flag, &FileMkdirRequest::parents>("parents", "Make missing directories above it, and accept that it exists."),
    user_field<&FileMkdirRequest::user>(),
};

constexpr Field kFileRemoveFields[] = {
    id_field<&FileRemoveRequest::id>(),
    path_field<&FileRemoveRequest::path>("path", "Absolute path."),
    field<K::flag, &FileRemoveRequest::recursive>("recursive", "Remove a directory with all it holds."),
    user_field<&FileRemoveRequest::user>(),
};

constexpr Field kFileWatchFields[] = {
    id_field<&FileWatchRequest::id>(),
    path_field<&FileWatchRequest::path>("path", "Absolute path of a directory or file."),
    field<K::flag, &FileWatchRequest::recursive>("recursive", "With all directories below it."),
    user_field<&FileWatchRequest::user>(),
};

constexpr Field kFileTarGetFields[] = {
    id_field<&FileTarGetRequest::id>(),
    path_field<&FileTarGetRequest::path>("path", "Absolute path of a directory, whose content is sent, or of one file."),
    user_field<&FileTarGetRequest::user>(),
};

constexpr Field kFileTarPutFields[] = {
    id_field<&FileTarPutRequest::id>(),
    path_field<&FileTarPutRequest::path>("path", "Absolute path of the directory to unpack into; it is made where it is missing."),
    user_field<&FileTarPutRequest::user>(),
};

template <auto Member>
consteval Field port_field() {
  return field<K::integer, Member>("port", "A TCP port of the loopback device; or give path.").range(0, kMaxPort);
}
template <auto Member>
consteval Field socket_field() {
  return field<K::bytes, Member>("path", "Absolute path of a unix socket; or give port.").size(0, kMaxPathBytes).as(Format::absolute);
}
void check_port(uint32_t port, const std::string& path) {
  if (port != 0 && !path.empty()) refuse_field("path", "cannot be together with port");
  if (port == 0 && path.empty()) refuse_field("port", "is needed, or path");
}

constexpr Field kPortDialFields[] = {
    id_field<&PortDialRequest::id>(),
    port_field<&PortDialRequest::port>(),
    socket_field<&PortDialRequest::path>(),
    user_field<&PortDialRequest::user>(),
};
void check_port_dial(const void* object) {
  const auto& dial = *static_cast<const PortDialRequest*>(object);
  check_port(dial.port, dial.path);
}

constexpr Field kPortWaitFields[] = {
    id_field<&PortWaitRequest::id>(),
    port_field<&PortWaitRequest::port>(),
    socket_field<&PortWaitRequest::path>(),
    field<K::duration_ms, &PortWaitRequest::timeout_ms>("timeout", "How long to wait.").range(1, kMaxPortWaitMs).or_zero("\"30s\""),
    user_field<&PortWaitRequest::user>(),
};
void check_port_wait(const void* object) {
  const auto& wait = *static_cast<const PortWaitRequest*>(object);
  check_port(wait.port, wait.path);
}

constexpr Field kPortListFields[] = {id_field<&PortListRequest::id>()};

// ---- answers

constexpr auto kRecord = &SandboxInfo::record;

constexpr Field kSandboxFields[] = {
    field<K::text, kRecord, &SandboxRecord::id>("id", "The sandbox's id.").written(),
    field<K::state, kRecord, &SandboxRecord::state>("state", "Where it is in its life.").written(),
    field<K::text, kRecord, &SandboxRecord::provider>("provider", "Who built its boundary.").written(),
    field<K::text, kRecord, &SandboxRecord::image>("image", "What its root is made from.").written(),
    field<K::mebibytes, kRecord, &SandboxRecord::memory_bytes>("memory_mb", "Memory limit in MiB, rounded up.").written(),
    field<K::cpus, kRecord, &SandboxRecord::milli_cpus>("vcpus", "CPU limit.").written(),
    field<K::time_ms, kRecord, &SandboxRecord::created_ms>("created_at", "When it was made.").written(),
    field<K::time_ms, kRecord, &SandboxRecord::expires_ms>("expires_at", "When it will be destroyed.").written(),
    field<K::text, kRecord, &SandboxRecord::owner_id>("owner_id", "The label it was made with."),
    field<K::text, kRecord, &SandboxRecord::tenant_id>("tenant_id", "Whose it is."),
    field<K::map, kRecord, &SandboxRecord::metadata>("metadata", "Labels.").items(kMaxMetadata).keys(kMaxMetadataKeyBytes, Format::line),
    field<K::mebibytes, kRecord, &SandboxRecord::disk_bytes>("disk_mb", "Limit of written files in MiB, rounded up.").written(),
    field<K::integer, kRecord, &SandboxRecord::pids>("pids", "Limit of processes and threads.").written(),
    field<K::text, kRecord, &SandboxRecord::profile>("profile", "What commands may do.").written(),
    field<K::text, kRecord, &SandboxRecord::user>("user", "The default user.").written(),
    field<K::text, kRecord, &SandboxRecord::network>("network", "What it can reach.").written(),
    field<K::list, kRecord, &SandboxRecord::enforced>("enforced", "What the boundary really does.").items(kMaxEntries).written(),
    field<K::list, kRecord, &SandboxRecord::unenforced>("unenforced", "Default limits that this host cannot enforce, and why.")
        .items(kMaxEntries)
        .written(),
    field<K::text, kRecord, &SandboxRecord::reason>("reason", "Why it ended or failed."),
    field<K::text, kRecord, &SandboxRecord::name>("name", "Its name."),
    field<K::duration_ms, kRecord, &SandboxRecord::timeout_ms>("timeout", "Of commands that have none of their own."),
    field<K::time_ms, kRecord, &SandboxRecord::keep_until_ms>("keep_until", "Until when its record stays at least, once it has ended."),
    field<K::flag, &SandboxInfo::existed>("existed", "Of a spawn: an earlier call made it."),
};

constexpr Field kAdmissionFields[] = {
    field<K::flag, &Admission::allowed>("allowed", "Whether it would be let in now.").written(),
    field<K::flag, &Admission::queueable>("queueable", "Whether it would wait for room: it does not.").written(),
    field<K::text, &Admission::reason>("reason", "Why not: max_ttl, max_sandboxes or max_sandboxes_per_owner."),
    field<K::integer, &Admission::active>("active_sandboxes", "Sandboxes that there are.").written(),
    field<K::integer, &Admission::most>("max_sandboxes", "The most there may be.").written(),
    field<K::integer, &Admission::owner_active>("active_owner_sandboxes", "Sandboxes of the same owner."),
    field<K::integer, &Admission::owner_most>("max_owner_sandboxes", "The most of one owner; absent: no limit of its own."),
    field<K::duration_ms, &Admission::max_ttl_ms>("max_ttl", "The longest life time.").written(),
};

constexpr Field kSandboxListFields[] = {field<K::objects, &SandboxList::items>("", "Sandboxes, newest first.").items(kMaxListLimit).written()};
// A number that could not be read is null, never 0.
template <auto Member>
std::string count_or_null(const void* object) {
  const int64_t value = static_cast<const SandboxStats*>(object)->*Member;
  return value < 0 ? "null" : std::to_string(value);
}
template <auto Member>
consteval Field count_field(std::string_view name, std::string_view doc) { return derived(name, "integer", &count_or_null<Member>, doc).or_null(); }

// What 0.15 tells.
std::string stats_supported(const void*) { return "true"; }
std::string cpu_percent(const void* object) {
  const auto& stats = *static_cast<const SandboxStats*>(object);
  if (stats.cpu_us < 0) return "null";
  const int64_t hundredths = stats.uptime_ms > 0 ? stats.cpu_us * 10 / stats.uptime_ms : 0;
  const std::string rest = std::to_string(hundredths % 100);
  return std::to_string(hundredths / 100) + '.' + (rest.size() < 2 ? "0" : "") + rest;
}

constexpr Field kStatsFields[] = {
    field<K::text, &SandboxStats::id>("id", "The sandbox's id.").written(),
    field<K::duration_ms, &SandboxStats::uptime_ms>("uptime", "Since it was made.").written(),
    count_field<&SandboxStats::cpu_us>("cpu_us", "CPU time of its commands in microseconds; null: see missing."),
    count_field<&SandboxStats::memory>("memory_bytes", "Memory of its commands; null: see missing."),
    count_field<&SandboxStats::memory_peak>("memory_peak_bytes", "The most there was of it; null: see missing."),
    count_field<&SandboxStats::memory_limit>("memory_limit_bytes", "Its limit; null: none is enforced."),
    count_field<&SandboxStats::pids>("pids", "Processes and threads of its commands; null: see missing."),
    count_field<&SandboxStats::pids_limit>("pids_limit", "Their limit; null: none is enforced."),
    count_field<&SandboxStats::oom_kills>("oom_kills", "Processes that were killed for want of memory; null: see missing."),
    count_field<&SandboxStats::disk>("disk_bytes", "Written files; null: see missing."),
    count_field<&SandboxStats::disk_limit>("disk_limit_bytes", "Limit of written files; null: none is enforced."),
    count_field<&SandboxStats::inodes>("inodes", "Files and directories, its own and those it began with; null: see missing."),
    count_field<&SandboxStats::inodes_limit>("inodes_limit", "Their limit; null: none is enforced, or see missing."),
    derived("supported", "boolean", &stats_supported, "Always true."),
    derived("cpu_pct", "number", &cpu_percent, "CPU time since it was made in percent of one processor; null: see missing.").or_null(),
    count_field<&SandboxStats::memory>("mem_bytes", "As memory_bytes."),
    count_field<&SandboxStats::memory_limit>("mem_limit_bytes", "As memory_limit_bytes."),
    field<K::integer, &SandboxStats::open_streams>("open_streams", "Streams to its agent.").written(),
    field<K::integer, &SandboxStats::running_execs>("running_execs", "Commands that run.").written(),
    field<K::list, &SandboxStats::missing>("missing", "What is null because it cannot be read, and why.").items(kMaxEntries).written(),
};

constexpr Field kStagedFields[] = {field<K::integer, &Staged::size>("size", "Bytes that have come.").written()};
constexpr Field kPrunedFields[] = {field<K::integer, &Pruned::pruned>("pruned", "How many were forgotten.").written()};
constexpr Field kStatusFields[] = {field<K::text, &Status::status>("status", "What was done.").written()};

constexpr Field kExecResponseFields[] = {
    field<K::integer, &ExecResponse::exit_code>("exit_code", "The command's exit code; 128 + signal where a signal ended it.").written(),
    field<K::bytes, &ExecResponse::out>("stdout", "What it wrote.").as(Format::blob).keeping(Keep::size).written(),
    field<K::bytes, &ExecResponse::err>("stderr", "What it wrote to standard error.").as(Format::blob).keeping(Keep::size).written(),
    field<K::duration_us, &ExecResponse::wall_us>("duration", "How long it ran.").written(),
    field<K::text, &ExecResponse::reason>("reason", "Why it ended: exited, signalled, timeout, oom, output_limit, cancelled.").written(),
    field<K::integer, &ExecResponse::signal>("signal", "The signal that ended it, or 0.").written(),
    field<K::integer, &ExecResponse::cpu_us>("cpu_us", "CPU time in microseconds.").written(),
    field<K::integer, &ExecResponse::memory_peak>("memory_peak_bytes", "Most memory of its largest process.").written(),
    field<K::text, &ExecResponse::exec_id>("exec_id", "The command's id.").written(),
};

constexpr Field kProcessFields[] = {
    field<K::text, &ProcessInfo::exec_id>("exec_id", "The command's id.").written(),
    field<K::text, &ProcessInfo::command>("command", "The head of its command line.").written(),
    field<K::text, &ProcessInfo::state>("state", "running, ended, or failed: it could not be started.").written(),
    field<K::integer, &ProcessInfo::pid>("pid", "Inside; 0: not started.").written(),
    field<K::time_ms, &ProcessInfo::started_ms>("started_at", "When it was started.").written(),
    field<K::flag, &ProcessInfo::background>("background", "Whether it outlives its stream.").written(),
    field<K::flag, &ProcessInfo::tty>("tty", "Whether it has a terminal.").written(),
    field<K::integer, &ProcessInfo::output_bytes>("output_bytes", "What it has written.").written(),
    field<K::integer, &ProcessInfo::lost_bytes>("lost_bytes", "Of a background command's output: what exec.attach cannot give any more.").written(),
    field<K::integer, &ProcessInfo::attached>("attached", "Streams that follow it.").written(),
    field<K::text, &ProcessInfo::reason>("reason", "Ended: exited, signalled, timeout, oom, output_limit, cancelled."),
    field<K::integer, &ProcessInfo::exit_code>("exit_code", "Ended: its exit code; 128 + signal where a signal ended it."),
    field<K::integer, &ProcessInfo::signal>("signal", "Ended: the signal that ended it."),
    field<K::duration_us, &ProcessInfo::wall_us>("duration", "Ended: how long it ran."),
    field<K::integer, &ProcessInfo::cpu_us>("cpu_us", "Ended: CPU time in microseconds."),
    field<K::integer, &ProcessInfo::memory_peak>("memory_peak_bytes", "Ended: most memory of its largest process."),
};
constexpr Field kProcessListFields[] = {field<K::objects, &ProcessList::items>("", "Commands, oldest first.").items(kMaxEntries).written()};
constexpr Field kLogLinesFields[] = {field<K::list, &LogLines::lines>("", "Lines, oldest first.").items(kMaxLogLines).written()};

std::string is_directory(const void* object) { return static_cast<const FileInfo*>(object)->type == "directory" ? "true" : "false"; }

constexpr Field kFileInfoFields[] = {
    field<K::bytes, &FileInfo::path>("path", "Absolute path.").as(Format::blob).written(),
    field<K::integer, &FileInfo::size>("size", "Bytes.").written(),
    field<K::mode, &FileInfo::mode>("mode", "Permission bits as octal text.").range(0, kMaxMode).written(),
    derived("is_dir", "boolean", &is_directory, "Whether type is directory."),
    field<K::time_ns, &FileInfo::mtime_ns>("mod_time", "Last change of its content.").written(),
    field<K::text, &FileInfo::type>("type", "file, directory, symlink, fifo, socket, character, block or other.").written(),
    field<K::integer, &FileInfo::uid>("uid", "Owner, as the sandbox counts.").written(),
    field<K::integer, &FileInfo::gid>("gid", "Group, as the sandbox counts.").written(),
    field<K::integer, &FileInfo::inode>("inode", "Inode number.").written(),
    field<K::integer, &FileInfo::nlink>("nlink", "Hard links.").written(),
    field<K::bytes, &FileInfo::target>("target", "Of a symbolic link: where it points. Not told below /proc and /sys.").as(Format::blob),
};
constexpr Field kFileListAnswerFields[] = {field<K::objects, &FileList::items>("", "Entries, sorted by name.").items(kMaxEntries).written()};
// A path that is not UTF-8 is the object {"path_b64": ...} in the place of its string.
constexpr Field kPathListFields[] = {field<K::list, &PathList::paths>("", "Absolute paths.").items(kMaxEntries).as(Format::blob).written()};

constexpr Field kFileMatchFields[] = {
    field<K::bytes, &FileMatch::path>("path", "Absolute path.").as(Format::blob).written(),
    field<K::integer, &FileMatch::line>("line", "The line's number, from 1.").written(),
    field<K::bytes, &FileMatch::text>("text", "The line, or its first 512 bytes.").as(Format::blob).written(),
};
constexpr Field kFileMatchesFields[] = {
    field<K::objects, &FileMatches::matches>("matches", "Lines that hold the text.").items(kMaxEntries).written(),
    field<K::integer, &FileMatches::files>("files", "Files that were searched to their end.").written(),
    field<K::integer, &FileMatches::skipped>("skipped", "Passed over: could not be read, or a NUL in the first 512 bytes.").written(),
    field<K::flag, &FileMatches::more>("more", "Whether there are more matches than the limit.").written(),
};
constexpr Field kFileReplacedFields[] = {field<K::integer, &FileReplaced::replaced>("replaced", "How often the text was found.").written()};

constexpr Field kFileEventFields[] = {
    field<K::text, &FileEvent::type>("type", "watching, created, modified, removed, renamed, attributes or overflow.").written(),
    field<K::bytes, &FileEvent::path>("path", "Absolute path; of a rename, the old one.").as(Format::blob).written(),
    field<K::bytes, &FileEvent::to>("to", "renamed: the new path.").as(Format::blob),
    field<K::flag, &FileEvent::is_directory>("is_dir", "Whether it is a directory.").written(),
};
constexpr Field kPortFields[] = {
    field<K::integer, &Port::port>("port", "TCP port.").written(),
    field<K::text, &Port::address>("address", "What it listens on: \"127.0.0.1\", \"0.0.0.0\", \"::\" ...").written(),
    field<K::integer, &Port::uid>("uid", "Whose socket it is, as the sandbox counts.").written(),
};
constexpr Field kPortListAnswerFields[] = {field<K::objects, &PortList::items>("", "Sockets that listen.").items(kMaxPorts).written()};

}  // namespace

SVM_FIELDS(Mount, kMountFields, false)
SVM_FIELDS(SpawnRequest, kSpawnFields, false, &check_spawn)
SVM_FIELDS(SandboxIdRequest, kIdFields, false)
SVM_FIELDS(DestroyRequest, kDestroyFields, false)
SVM_FIELDS(ListRequest, kListFields, false, &check_list)
SVM_FIELDS(ExtendRequest, kExtendFields, false)
SVM_FIELDS(UpdateRequest, kUpdateFields, false)
SVM_FIELDS(PruneRequest, kPruneFields, false)
SVM_FIELDS(ExecRequest, kExecFields, false, &check_exec)
SVM_FIELDS(FileReadRequest, kFileReadFields, false)
SVM_FIELDS(FileWriteRequest, kFileWriteFields, false, &check_file_write)
SVM_FIELDS(FileUploadRequest, kFileUploadFields, false, &check_file_upload)
SVM_FIELDS(FileStagedRequest, kFileStagedFields, false)
SVM_FIELDS(FileListRequest, kFileListFields, false)
SVM_FIELDS(FileStatRequest, kFileStatFields, false)
SVM_FIELDS(FileGlobRequest, kFileGlobFields, false)
SVM_FIELDS(FileSearchRequest, kFileSearchFields, false, &check_file_search)
SVM_FIELDS(FileReplaceRequest, kFileReplaceFields, false)
SVM_FIELDS(FileMoveRequest, kFileMoveFields, false)
SVM_FIELDS(FileCopyRequest, kFileCopyFields, false)
SVM_FIELDS(FileSymlinkRequest, kFileSymlinkFields, false)
SVM_FIELDS(FileChmodRequest, kFileChmodFields, false, check_file_chmod)
SVM_FIELDS(FileMkdirRequest, kFileMkdirFields, false)
SVM_FIELDS(FileRemoveRequest, kFileRemoveFields, false)
SVM_FIELDS(FileWatchRequest, kFileWatchFields, false)
SVM_FIELDS(FileTarGetRequest, kFileTarGetFields, false)
SVM_FIELDS(FileTarPutRequest, kFileTarPutFields, false)
SVM_FIELDS(PortDialRequest, kPortDialFields, false, &check_port_dial)
SVM_FIELDS(PortWaitRequest, kPortWaitFields, false, &check_port_wait)
SVM_FIELDS(PortListRequest, kPortListFields, false)
SVM_FIELDS(ExecListRequest, kExecListFields, false)
SVM_FIELDS(ExecGetRequest, kExecGetFields, false)
SVM_FIELDS(ExecInfo, kExecInfoFields, false)
SVM_FIELDS(ExecList, kExecListAnswerFields, true)
SVM_FIELDS(EventFollowRequest, kEventFollowFields, false)
SVM_FIELDS(SandboxInfo, kSandboxFields, false)
SVM_FIELDS(EmptyRequest, kNoFields, false)
SVM_FIELDS(Admission, kAdmissionFields, false)
SVM_FIELDS(SandboxList, kSandboxListFields, true)
SVM_FIELDS(Status, kStatusFields, false)
SVM_FIELDS(Pruned, kPrunedFields, false)
SVM_FIELDS(Staged, kStagedFields, false)
SVM_FIELDS(SandboxStats, kStatsFields, false)
SVM_FIELDS(ExecResponse, kExecResponseFields, false)
SVM_FIELDS(FileInfo, kFileInfoFields, false)
SVM_FIELDS(FileList, kFileListAnswerFields, true)
SVM_FIELDS(PathList, kPathListFields, true)
SVM_FIELDS(FileMatch, kFileMatchFields, false)
SVM_FIELDS(FileMatches, kFileMatchesFields, false)
SVM_FIELDS(FileReplaced, kFileReplacedFields, false)
SVM_FIELDS(FileEvent, kFileEventFields, false)
SVM_FIELDS(Port, kPortFields, false)
SVM_FIELDS(PortList, kPortListAnswerFields, true)
SVM_FIELDS(ExecAttachRequest, kExecAttachFields, false)
SVM_FIELDS(ExecSignalRequest, kExecSignalFields, false)
SVM_FIELDS(ExecKillRequest, kExecKillFields, false)
SVM_FIELDS(ExecResizeRequest, kExecResizeFields, false)
SVM_FIELDS(LogsRequest, kLogsFields, false)
SVM_FIELDS(ConsoleRequest, kConsoleFields, false)
SVM_FIELDS(ProcessInfo, kProcessFields, false)
SVM_FIELDS(ProcessList, kProcessListFields, true)
SVM_FIELDS(LogLines, kLogLinesFields, true)

}  // namespace svm::model
