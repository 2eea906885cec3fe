// Every bound of the field lists, at the limit and one beyond, through the typed door and through JSON.
#include "expect.hpp"
#include "model/fields.hpp"
#include "model/limits.hpp"

using namespace svm;
using namespace svm::model;
using svm::test::check_refused;
using svm::test::error_of;
using svm::test::fact;

namespace {

// Both doors accept `good` and refuse `bad`, naming the field. encode() does not check, so it carries `bad` to decode().
template <class T>
void at_the_limit(std::string_view field, T good, T bad) {
  INFO("field: ", std::string(field));
  CHECK_NOTHROW(validate(good));
  CHECK_NOTHROW(decode<T>({}, encode(good)));
  check_refused(field, [&] { validate(bad); });
  check_refused(field, [&] { decode<T>({}, encode(bad)); });
}

template <class T, class F>
T with(T base, F change) {
  change(base);
  return base;
}

ExecRequest exec() {
  ExecRequest request;
  request.id = "x";
  request.command = "c";
  return request;
}

template <class T>
T file() {
  T request;
  request.id = "x";
  if constexpr (requires { request.path; }) request.path = "/a";
  return request;
}

std::string path(size_t size) { return "/" + std::string(size - 1, 'p'); }

StringMap entries(size_t count) {
  StringMap map;
  for (size_t i = 0; i < count; ++i) map.emplace("k" + std::to_string(i), "v");
  return map;
}

}  // namespace

#define SPAWN_LIMIT(field, member, good, bad)                                                                   \
  at_the_limit(field, with(SpawnRequest{}, [](SpawnRequest& r) { r.member = good; }), with(SpawnRequest{}, [](SpawnRequest& r) { r.member = bad; }))
#define EXEC_LIMIT(field, member, good, bad) \
  at_the_limit(field, with(exec(), [](ExecRequest& r) { r.member = good; }), with(exec(), [](ExecRequest& r) { r.member = bad; }))

TEST_CASE("limits: numbers of a spawn") {
  SPAWN_LIMIT("memory_mb", memory_bytes, kMinMemoryBytes, kMinMemoryBytes - (1 << 20));
  SPAWN_LIMIT("memory_mb", memory_bytes, kMaxMemoryBytes, kMaxMemoryBytes + (1 << 20));
  SPAWN_LIMIT("disk_mb", disk_bytes, kMaxDiskBytes, kMaxDiskBytes + (1 << 20));
  SPAWN_LIMIT("vcpus", milli_cpus, kMinMilliCpus, kMinMilliCpus - 1);
  SPAWN_LIMIT("vcpus", milli_cpus, kMaxMilliCpus, kMaxMilliCpus + 1);
  SPAWN_LIMIT("pids", pids, kMinPids, kMinPids - 1);
  SPAWN_LIMIT("pids", pids, kMaxPids, kMaxPids + 1);
  SPAWN_LIMIT("ttl", ttl_ms, kMaxAskedTtlMs, kMaxAskedTtlMs + 1);
  SPAWN_LIMIT("ttl", ttl_ms, kMinTtlMs, -1);
}

TEST_CASE("limits: a typed value below one MiB does not hide behind rounding") {
  SpawnRequest request;
  request.memory_bytes = kMinMemoryBytes - 1;
  check_refused("memory_mb", [&] { validate(request); });
  request.memory_bytes = kMaxMemoryBytes + 1;
  check_refused("memory_mb", [&] { validate(request); });
  request.memory_bytes = UINT64_MAX;
  check_refused("memory_mb", [&] { validate(request); });
  request.memory_bytes = 0;
  request.disk_bytes = kMinDiskBytes - 1;
  check_refused("disk_mb", [&] { validate(request); });
  request.disk_bytes = kMinDiskBytes;
  CHECK_NOTHROW(validate(request));
}

TEST_CASE("limits: strings and collections of a spawn") {
  SPAWN_LIMIT("image", image, std::string(kMaxImageBytes, 'i'), std::string(kMaxImageBytes + 1, 'i'));
  SPAWN_LIMIT("provider", provider, std::string(kMaxNameBytes, 'p'), std::string(kMaxNameBytes + 1, 'p'));
  SPAWN_LIMIT("user", user, std::string(kMaxNameBytes, 'u'), std::string(kMaxNameBytes + 1, 'u'));
  SPAWN_LIMIT("owner_id", owner_id, std::string(kMaxOwnerBytes, 'o'), std::string(kMaxOwnerBytes + 1, 'o'));
  SPAWN_LIMIT("metadata", metadata, entries(kMaxMetadata), entries(kMaxMetadata + 1));
  SPAWN_LIMIT("metadata", metadata, (StringMap{{std::string(kMaxMetadataKeyBytes, 'k'), "v"}}), (StringMap{{std::string(kMaxMetadataKeyBytes + 1, 'k'), "v"}}));
  SPAWN_LIMIT("metadata", metadata, (StringMap{{"k", std::string(kMaxMetadataValueBytes, 'v')}}), (StringMap{{"k", std::string(kMaxMetadataValueBytes + 1, 'v')}}));
  SPAWN_LIMIT("env", env, entries(kMaxEnv), entries(kMaxEnv + 1));
  SPAWN_LIMIT("mounts", mounts, std::vector<Mount>(kMaxMounts, Mount{"/a", "/b"}), std::vector<Mount>(kMaxMounts + 1, Mount{"/a", "/b"}));
  SPAWN_LIMIT("mounts[0].host", mounts, (std::vector<Mount>{{path(kMaxPathBytes), "/b"}}), (std::vector<Mount>{{path(kMaxPathBytes + 1), "/b"}}));
}

TEST_CASE("limits: a sandbox's name, key, timeout and labels") {
  SPAWN_LIMIT("name", name, std::string(kMaxSandboxNameBytes, 'n'), std::string(kMaxSandboxNameBytes + 1, 'n'));
  SPAWN_LIMIT("idempotency_key", idempotency_key, std::string(kMaxIdempotencyKeyBytes, 'k'), std::string(kMaxIdempotencyKeyBytes + 1, 'k'));
  SPAWN_LIMIT("template", template_name, std::string(kMaxSandboxNameBytes, 'n'), std::string(kMaxSandboxNameBytes + 1, 'n'));
  SPAWN_LIMIT("timeout", timeout_ms, kMaxTimeoutMs, kMaxTimeoutMs + 1);
  SPAWN_LIMIT("timeout", timeout_ms, 0, -1);
  at_the_limit("keep", DestroyRequest{"x", kMaxKeepMs}, DestroyRequest{"x", kMaxKeepMs + 1});
  at_the_limit("older_than", PruneRequest{kMaxKeepMs}, PruneRequest{kMaxKeepMs + 1});
  at_the_limit("metadata", UpdateRequest{"x", entries(kMaxMetadata)}, UpdateRequest{"x", entries(kMaxMetadata + 1)});
  const auto list = [](auto change) { return with(ListRequest{}, change); };
  at_the_limit("label", list([](auto& r) { r.labels.assign(kMaxLabelFilters, "k=v"); }), list([](auto& r) { r.labels.assign(kMaxLabelFilters + 1, "k=v"); }));
  at_the_limit("label", list([](auto& r) { r.labels = {"k="}; }), list([](auto& r) { r.labels = {"k"}; }));
  at_the_limit("label", list([](auto& r) { r.labels = {"k=v=w"}; }), list([](auto& r) { r.labels = {"=v"}; }));
  at_the_limit("name", list([](auto& r) { r.name = std::string(kMaxSandboxNameBytes, 'n'); }), list([](auto& r) { r.name = std::string(kMaxSandboxNameBytes + 1, 'n'); }));
  at_the_limit("state", list([](auto& r) { r.state = "running"; }), list([](auto& r) { r.state = "destroyed"; }));
}

TEST_CASE("limits: events and history") {
  const auto follow = [](auto change) { return with(EventFollowRequest{}, change); };
  at_the_limit("types", follow([](auto& r) { r.types.assign(kMaxEventTypes, "t"); }), follow([](auto& r) { r.types.assign(kMaxEventTypes + 1, "t"); }));
  at_the_limit("types", follow([](auto& r) { r.types = {std::string(kMaxNameBytes, 't')}; }), follow([](auto& r) { r.types = {std::string(kMaxNameBytes + 1, 't')}; }));
  at_the_limit("after", follow([](auto& r) { r.after = -1; }), follow([](auto& r) { r.after = -2; }));
  at_the_limit("sandbox_id", follow([](auto& r) { r.sandbox_id = std::string(kMaxIdBytes, 'i'); }), follow([](auto& r) { r.sandbox_id = std::string(kMaxIdBytes + 1, 'i'); }));
  const auto list = [](auto change) { return with(ExecListRequest{}, change); };
  at_the_limit("limit", list([](auto& r) { r.limit = kMaxListLimit; }), list([](auto& r) { r.limit = kMaxListLimit + 1; }));
  at_the_limit("after", list([](auto& r) { r.after = std::string(kMaxIdBytes, 'i'); }), list([](auto& r) { r.after = std::string(kMaxIdBytes + 1, 'i'); }));
  at_the_limit("state", list([](auto& r) { r.state = "ended"; }), list([](auto& r) { r.state = "over"; }));
  at_the_limit("exec_id", ExecGetRequest{std::string(kMaxIdBytes, 'i')}, ExecGetRequest{std::string(kMaxIdBytes + 1, 'i')});
  check_refused("exec_id", [&] { validate(ExecGetRequest{}); });
}

TEST_CASE("a name is what it looks like, and no id") {
  const auto named = [](std::string name) {
    SpawnRequest request;
    request.name = std::move(name);
    return request;
  };
  for (const char* good : {"a", "Z9", "0", "build-1.x_y", "s", "sb", "sb_1"}) CHECK_NOTHROW(validate(named(good)));
  for (const char* bad : {"-a", ".", "_x", "a b", "a/b", "a:b", "\xc3\xa4", "a\n", "sb-", "sb-1"}) check_refused("name", [&] { validate(named(bad)); });
  SpawnRequest nameless;
  nameless.get_or_create = true;
  check_refused("name", [&] { validate(nameless); });
  nameless.name = "a";
  CHECK_NOTHROW(validate(nameless));
}

TEST_CASE("limits: a command") {
  EXEC_LIMIT("id", id, std::string(kMaxIdBytes, 'i'), std::string(kMaxIdBytes + 1, 'i'));
  EXEC_LIMIT("command", command, std::string(kMaxArgumentBytes, 'c'), std::string(kMaxArgumentBytes + 1, 'c'));
  EXEC_LIMIT("workdir", workdir, path(kMaxPathBytes), path(kMaxPathBytes + 1));
  EXEC_LIMIT("user", user, std::string(kMaxNameBytes, 'u'), std::string(kMaxNameBytes + 1, 'u'));
  EXEC_LIMIT("timeout", timeout_ms, kMaxTimeoutMs, kMaxTimeoutMs + 1);
  EXEC_LIMIT("timeout", timeout_ms, -1, -2);
  EXEC_LIMIT("output_limit", output_limit, kMaxOutputLimit, kMaxOutputLimit + 1);
  EXEC_LIMIT("env", env, entries(kMaxEnv), entries(kMaxEnv + 1));
  // NAME=VALUE as one string of the environment
  EXEC_LIMIT("env", env, (StringMap{{"A", std::string(kMaxArgumentBytes - 2, 'v')}}), (StringMap{{"A", std::string(kMaxArgumentBytes - 1, 'v')}}));

  const auto terminal = [](uint32_t rows, uint32_t cols) { return with(exec(), [&](ExecRequest& r) { r.tty = true, r.rows = rows, r.cols = cols; }); };
  at_the_limit("rows", terminal(kMaxTerminalSide, 1), terminal(kMaxTerminalSide + 1, 1));
  at_the_limit("cols", terminal(1, kMaxTerminalSide), terminal(1, kMaxTerminalSide + 1));
  const auto background = [](uint64_t ring) { return with(exec(), [&](ExecRequest& r) { r.background = true, r.ring_bytes = ring; }); };
  at_the_limit("ring_bytes", background(kMaxRingBytes), background(kMaxRingBytes + 1));
  at_the_limit("ring_bytes", background(kMinRingBytes), background(kMinRingBytes - 1));
  at_the_limit("ring_bytes", background(0), background(1));
  EXEC_LIMIT("rows", rows, 0, 1);  // only of a terminal
  EXEC_LIMIT("cols", cols, 0, 1);
  EXEC_LIMIT("ring_bytes", ring_bytes, 0, kMinRingBytes);  // only in the background
  at_the_limit("merge_output", terminal(1, 1), with(terminal(1, 1), [](ExecRequest& r) { r.merge = true; }));

  ExecRequest many = exec();
  many.mode = "argv";
  many.args.assign(kMaxArgs, "");
  ExecRequest more = many;
  more.args.emplace_back();
  at_the_limit("args", many, more);
}

TEST_CASE("limits: what acts on a command by its id, and the console") {
  at_the_limit("exec_id", ExecAttachRequest{"x", std::string(kMaxIdBytes, 'i'), 0}, ExecAttachRequest{"x", std::string(kMaxIdBytes + 1, 'i'), 0});
  at_the_limit("exec_id", ExecKillRequest{"x", "i"}, ExecKillRequest{"x", ""});
  at_the_limit("signal", ExecSignalRequest{"x", "i", kMaxSignal, false}, ExecSignalRequest{"x", "i", kMaxSignal + 1, false});
  at_the_limit("signal", ExecSignalRequest{"x", "i", 1, false}, ExecSignalRequest{"x", "i", 0, false});
  at_the_limit("rows", ExecResizeRequest{"x", "i", kMaxTerminalSide, 1}, ExecResizeRequest{"x", "i", kMaxTerminalSide + 1, 1});
  at_the_limit("cols", ExecResizeRequest{"x", "i", 1, 1}, ExecResizeRequest{"x", "i", 1, 0});
  at_the_limit("lines", LogsRequest{"x", kMaxLogLines}, LogsRequest{"x", kMaxLogLines + 1});
}

TEST_CASE("limits: argv and environment together, with their NULs") {
  ExecRequest good = exec();
  good.mode = "argv";
  good.args.assign(3, std::string(kMaxArgumentBytes, 'a'));  // 3 x 128 KiB
  good.env = {{"A", std::string(kMaxArgumentBytes - 4, 'v')}};  // "A=" value NUL: 128 KiB - 2, and "c" NUL are the last 2
  ExecRequest bad = good;
  bad.env["A"] += 'v';
  at_the_limit("env", good, bad);
}

TEST_CASE("limits: a shell command counts what quoting adds") {
  ExecRequest good = exec();
  good.args = {std::string(kMaxArgumentBytes - 4, 'a')};  // c, blank, two quotes
  ExecRequest bad = good;
  bad.args[0] += 'a';
  at_the_limit("command", good, bad);
}

TEST_CASE("limits: bytes") {
  // As JSON a body of this size is itself at the body's limit, so only the typed door is asked.
  ExecRequest request = exec();
  request.stdin_data.assign(kMaxStdinBytes, 'i');
  CHECK_NOTHROW(validate(request));
  request.stdin_data += 'i';
  check_refused("stdin", [&] { validate(request); });
  auto write = file<FileWriteRequest>();
  write.content.assign(kMaxContentBytes, 'c');
  CHECK_NOTHROW(validate(write));
  write.content += 'c';
  check_refused("content", [&] { validate(write); });
}

TEST_CASE("limits: paths, modes and counts of file requests") {
  const auto paths = []<class T>(T) {
    T good = file<T>(), bad = file<T>();
    good.path = path(kMaxPathBytes);
    bad.path = path(kMaxPathBytes + 1);
    at_the_limit("path", good, bad);
  };
  paths(FileReadRequest{});
  paths(FileWriteRequest{});
  paths(FileUploadRequest{});
  paths(FileListRequest{});
  paths(FileStatRequest{});
  paths(FileMkdirRequest{});
  paths(FileRemoveRequest{});

  auto upload = file<FileUploadRequest>(), wrong = upload;
  upload.upload.assign(kMaxUploadNameBytes, 'u');
  upload.offset = INT64_MAX - 1;
  CHECK_NOTHROW(validate(upload));
  wrong = upload;
  wrong.upload += 'u';
  check_refused("upload", [&] { validate(wrong); });
  wrong = upload;
  ++wrong.offset;
  check_refused("offset", [&] { validate(wrong); });
  wrong = upload;
  wrong.upload = "a/b";
  check_refused("upload", [&] { validate(wrong); });
  wrong = upload;
  wrong.upload.clear();
  check_refused("offset", [&] { validate(wrong); });
  wrong = upload;
  wrong.restart = true;
  check_refused("offset", [&] { validate(wrong); });
  wrong.offset = 0;
  CHECK_NOTHROW(validate(wrong));
  wrong.upload.clear();
  check_refused("restart", [&] { validate(wrong); });

  const auto modes = []<class T>(T) {
    T good = file<T>(), bad = file<T>();
    good.mode = kMaxMode;
    bad.mode = kMaxMode + 1;
    CHECK_NOTHROW(validate(good));
    check_refused("mode", [&] { validate(bad); });
  };
  modes(FileWriteRequest{});
  modes(FileUploadRequest{});
  modes(FileChmodRequest{});
  modes(FileMkdirRequest{});

  auto list = file<FileListRequest>(), longer = list;
  list.limit = kMaxEntries;
  longer.limit = kMaxEntries + 1;
  at_the_limit("limit", list, longer);

  auto deep = file<FileListRequest>(), deeper = deep;
  deep.depth = kMaxListDepth;
  deeper.depth = kMaxListDepth + 1;
  at_the_limit("depth", deep, deeper);

  FileSearchRequest search{"x", path(kMaxPathBytes), std::string(kMaxSearchBytes, 't'), kMaxEntries, ""}, longer_text = search, all = search;
  longer_text.text += 't';
  at_the_limit("text", search, longer_text);
  all.limit++;
  at_the_limit("limit", search, all);
  FileReplaceRequest replace{"x", path(kMaxPathBytes), std::string(kMaxSearchBytes, '\n'), std::string(kMaxReplacementBytes, 'r'), ""}, larger = replace;
  larger.replacement += 'r';
  at_the_limit("replacement", replace, larger);

  FileGlobRequest glob{"x", path(kMaxPathBytes), kMaxEntries, ""}, wide = glob;
  wide.pattern += 'p';
  at_the_limit("pattern", glob, wide);
  FileMoveRequest move{"x", path(kMaxPathBytes), "/b", true, ""}, far = move;
  far.old_path += 'p';
  at_the_limit("old_path", move, far);

  at_the_limit("limit", ListRequest{kMaxListLimit, ""}, ListRequest{kMaxListLimit + 1, ""});
  at_the_limit("ttl", ExtendRequest{"x", kMaxAskedTtlMs}, ExtendRequest{"x", kMaxAskedTtlMs + 1});
}

TEST_CASE("limits: a refusal says the limit as the wire spells it") {
  const auto limit_of = [](auto request) {
    const auto error = error_of([&] { validate(request); });
    return error ? fact(*error, "limit") : std::string("accepted");
  };
  SpawnRequest spawn;
  spawn.memory_bytes = 1;
  CHECK(limit_of(spawn) == "16");
  spawn.memory_bytes = 0;
  spawn.milli_cpus = 1;
  CHECK(limit_of(spawn) == "0.01");
  spawn.milli_cpus = 0;
  spawn.ttl_ms = kMaxAskedTtlMs + 1;
  CHECK(limit_of(spawn) == "878400h0m0s");
  ExecRequest long_command = exec();
  long_command.command.assign(kMaxArgumentBytes + 1, 'c');
  CHECK(limit_of(long_command) == std::to_string(kMaxArgumentBytes));
}
