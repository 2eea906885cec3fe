// Every bound of message.hpp: accepted at the limit, refused one beyond.
#include <doctest/doctest.h>

#include <functional>

#include "generate.hpp"

using namespace svm;
using namespace svm::protocol;
using namespace svm::protocol::test;

namespace {
/// Whether the value with one change survives encode and decode.
template <class T, class F>
bool accepts(F change) {
  T value = make<T>(11);
  change(value);
  T back;
  return decoded(encoded(value), back) && back == value;
}

template <class T>
bool accepts_path(std::string T::*member, const std::string& path) {
  return accepts<T>([&](T& v) { v.*member = path; });
}

template <class T>
void check_path(std::string T::*member) {
  CHECK(accepts_path<T>(member, ""));
  CHECK(accepts_path<T>(member, std::string(kMaxPathBytes, 'p')));
  CHECK_FALSE(accepts_path<T>(member, std::string(kMaxPathBytes + 1, 'p')));
  CHECK_FALSE(accepts_path<T>(member, std::string("a\0b", 3)));
}

template <class T>
void check_user() {
  CHECK(accepts<T>([](T& v) { v.user = ""; }));
  CHECK(accepts<T>([](T& v) { v.user = std::string(kMaxUserBytes, 'u'); }));
  CHECK_FALSE(accepts<T>([](T& v) { v.user = std::string(kMaxUserBytes + 1, 'u'); }));
  CHECK_FALSE(accepts<T>([](T& v) { v.user = std::string("r\0t", 3); }));
}

template <class T>
void check_mode() {
  CHECK(accepts<T>([](T& v) { v.mode = 07777; }));
  CHECK_FALSE(accepts<T>([](T& v) { v.mode = 010000; }));
}

template <class T>
void check_environment() {
  CHECK(accepts<T>([](T& v) { v.env.assign(kMaxEnv, {"A", ""}); }));
  CHECK_FALSE(accepts<T>([](T& v) { v.env.assign(kMaxEnv + 1, {"A", ""}); }));
  CHECK_FALSE(accepts<T>([](T& v) { v.env = {{"", "x"}}; }));
  CHECK_FALSE(accepts<T>([](T& v) { v.env = {{"A=B", "x"}}; }));
  CHECK(accepts<T>([](T& v) { v.env = {{"A", "x=y"}}; }));
  CHECK_FALSE(accepts<T>([](T& v) { v.env = {{std::string("A\0B", 3), "x"}}; }));
  CHECK_FALSE(accepts<T>([](T& v) { v.env = {{"A", std::string("x\0y", 3)}}; }));
  // "A=" + value + NUL is one string of execve.
  CHECK(accepts<T>([](T& v) { v.env = {{"A", std::string(kMaxArgBytes - 3, 'x')}}; }));
  CHECK_FALSE(accepts<T>([](T& v) { v.env = {{"A", std::string(kMaxArgBytes - 2, 'x')}}; }));
}
}  // namespace

TEST_CASE("paths") {
  check_path(&ReadRequest::path);
  check_path(&WriteRequest::path);
  check_path(&StatRequest::path);
  check_path(&ListRequest::path);
  check_path(&GlobRequest::pattern);
  check_path(&SearchRequest::path);
  check_path(&ReplaceRequest::path);
  check_path(&MoveRequest::from);
  check_path(&MoveRequest::to);
  check_path(&CopyRequest::from);
  check_path(&CopyRequest::to);
  check_path(&ChmodRequest::path);
  check_path(&MkdirRequest::path);
  check_path(&RemoveRequest::path);
  check_path(&SymlinkRequest::target);
  check_path(&SymlinkRequest::path);
  check_path(&LinkRequest::existing);
  check_path(&LinkRequest::path);
  check_path(&ExecRequest::cwd);
  check_path(&WatchRequest::path);
  check_path(&PackRequest::path);
  check_path(&UnpackRequest::path);
  CHECK(accepts<DialRequest>([](auto& v) { v.port = 0, v.path = std::string(kMaxPathBytes, 'p'); }));
  CHECK_FALSE(accepts<DialRequest>([](auto& v) { v.port = 0, v.path = std::string(kMaxPathBytes + 1, 'p'); }));
  CHECK_FALSE(accepts<DialRequest>([](auto& v) { v.port = 0, v.path = std::string("\0a", 2); }));
}

TEST_CASE("users") {
  check_user<ExecRequest>();
  check_user<ReadRequest>();
  check_user<WriteRequest>();
  check_user<StatRequest>();
  check_user<ListRequest>();
  check_user<GlobRequest>();
  check_user<SearchRequest>();
  check_user<ReplaceRequest>();
  check_user<MoveRequest>();
  check_user<CopyRequest>();
  check_user<ChmodRequest>();
  check_user<MkdirRequest>();
  check_user<RemoveRequest>();
  check_user<SymlinkRequest>();
  check_user<LinkRequest>();
  check_user<WatchRequest>();
  check_user<PackRequest>();
  check_user<UnpackRequest>();
  check_user<DialRequest>();
  check_user<ListeningRequest>();
}

TEST_CASE("what a chmod sets") {
  const auto sets = [](bool mode, uint32_t bits, std::string owner, std::string group) {
    return accepts<ChmodRequest>([&](auto& v) { v.sets_mode = mode, v.mode = bits, v.owner = owner, v.group = group; });
  };
  CHECK(sets(true, 0, "", ""));
  CHECK(sets(false, 0, "o", ""));
  CHECK(sets(false, 0, "", "g"));
  CHECK_FALSE(sets(false, 0, "", ""));
  CHECK_FALSE(sets(false, 1, "o", "g"));
  CHECK(sets(false, 0, std::string(kMaxUserBytes, 'o'), std::string(kMaxUserBytes, 'g')));
  CHECK_FALSE(sets(false, 0, std::string(kMaxUserBytes + 1, 'o'), ""));
  CHECK_FALSE(sets(false, 0, "", std::string(kMaxUserBytes + 1, 'g')));
}

TEST_CASE("what is looked for, and what is told of it") {
  const auto text = []<class T>(T) {
    CHECK(accepts<T>([](T& v) { v.text = std::string(kMaxSearchBytes, '\0'); }));
    CHECK_FALSE(accepts<T>([](T& v) { v.text = std::string(kMaxSearchBytes + 1, 't'); }));
    CHECK_FALSE(accepts<T>([](T& v) { v.text.clear(); }));
  };
  text(SearchRequest{});
  text(ReplaceRequest{});
  CHECK(accepts<ReplaceRequest>([](auto& v) { v.replacement = std::string(kMaxReplacementBytes, 'r'); }));
  CHECK_FALSE(accepts<ReplaceRequest>([](auto& v) { v.replacement = std::string(kMaxReplacementBytes + 1, 'r'); }));
  CHECK(accepts<ListRequest>([](auto& v) { v.depth = kMaxListDepth; }));
  CHECK_FALSE(accepts<ListRequest>([](auto& v) { v.depth = kMaxListDepth + 1; }));
  CHECK_FALSE(accepts<ListRequest>([](auto& v) { v.depth = 0; }));
  CHECK(accepts<SearchMatch>([](auto& v) { v.text = std::string(kMaxMatchBytes, 'm'); }));
  CHECK_FALSE(accepts<SearchMatch>([](auto& v) { v.text = std::string(kMaxMatchBytes + 1, 'm'); }));
  CHECK_FALSE(accepts<SearchMatch>([](auto& v) { v.line = 0; }));
  CHECK_FALSE(accepts<SearchMatch>([](auto& v) { v.path.clear(); }));
}

TEST_CASE("modes and flags") {
  check_mode<WriteRequest>();
  CHECK(accepts<ChmodRequest>([](auto& v) { v.sets_mode = true, v.mode = 07777; }));
  CHECK_FALSE(accepts<ChmodRequest>([](auto& v) { v.sets_mode = true, v.mode = 010000; }));
  check_mode<MkdirRequest>();
  check_mode<FileInfo>();
  CHECK(accepts<WriteRequest>([](auto& v) { v.flags = 7, v.upload = "", v.offset = 0; }));
  CHECK_FALSE(accepts<WriteRequest>([](auto& v) { v.flags = 32; }));
  const auto upload = [](size_t size, uint64_t offset, uint32_t flags) {
    return accepts<WriteRequest>([&](auto& v) { v.upload = std::string(size, 'u'), v.offset = offset, v.flags = flags; });
  };
  CHECK(upload(0, 0, 0));
  CHECK_FALSE(upload(0, 1, 0));
  CHECK_FALSE(upload(0, 0, kWriteRestart));
  CHECK_FALSE(upload(0, 0, kWriteStaged));
  CHECK(upload(kMaxUploadBytes, UINT64_MAX, kWriteParents | kWriteExclusive));
  CHECK_FALSE(upload(kMaxUploadBytes + 1, 0, 0));
  CHECK(upload(1, 0, kWriteRestart));
  CHECK(upload(1, 0, kWriteStaged));
  CHECK_FALSE(upload(1, 1, kWriteRestart));
  CHECK_FALSE(upload(1, 0, kWriteRestart | kWriteStaged));
  CHECK_FALSE(upload(1, 0, kWriteAppend));

  std::string stat = encoded(make<StatRequest>(1));
  const size_t flag = stat.size() - 4 - make<StatRequest>(1).user.size() - 1;
  StatRequest out;
  for (int byte = 0; byte < 256; ++byte) {
    stat[flag] = static_cast<char>(byte);
    CHECK(decoded(stat, out) == (byte <= 1));
  }
}

TEST_CASE("exec: the id") {
  CHECK(accepts<ExecRequest>([](auto& v) { v.id = std::string(kMaxExecIdBytes, 'i'); }));
  CHECK_FALSE(accepts<ExecRequest>([](auto& v) { v.id = std::string(kMaxExecIdBytes + 1, 'i'); }));
  CHECK_FALSE(accepts<ExecRequest>([](auto& v) { v.id = std::string("a\0b", 3); }));
}

TEST_CASE("exec: terminal and background") {
  const auto with = [](bool terminal, bool merge, uint32_t rows, uint32_t columns, bool background, uint64_t ring) {
    return accepts<ExecRequest>([=](auto& v) {
      v.id = "i";
      v.terminal = terminal, v.merge = merge, v.rows = rows, v.columns = columns, v.background = background, v.ring_bytes = ring;
    });
  };
  CHECK(with(true, false, 0, 0, false, 0));
  CHECK(with(true, false, 1, kMaxTerminalSide, true, kMinRingBytes));
  CHECK(with(true, false, kMaxTerminalSide, 1, true, kMaxRingBytes));
  CHECK_FALSE(with(true, false, kMaxTerminalSide + 1, 1, false, 0));
  CHECK_FALSE(with(true, false, 1, kMaxTerminalSide + 1, false, 0));
  CHECK_FALSE(with(true, true, 1, 1, false, 0));
  CHECK_FALSE(with(false, false, 1, 0, false, 0));
  CHECK_FALSE(with(false, false, 0, 1, false, 0));
  CHECK_FALSE(with(false, false, 0, 0, true, kMinRingBytes - 1));
  CHECK_FALSE(with(false, false, 0, 0, true, kMaxRingBytes + 1));
  CHECK_FALSE(with(false, false, 0, 0, false, kMinRingBytes));
  CHECK_FALSE(accepts<ExecRequest>([](auto& v) { v.id.clear(), v.background = true, v.ring_bytes = 0; }));
}

TEST_CASE("attach, signal and console") {
  CHECK(accepts<AttachRequest>([](auto& v) { v.id = std::string(kMaxExecIdBytes, 'i'); }));
  CHECK_FALSE(accepts<AttachRequest>([](auto& v) { v.id = std::string(kMaxExecIdBytes + 1, 'i'); }));
  CHECK_FALSE(accepts<AttachRequest>([](auto& v) { v.id = ""; }));
  const auto signal = [](uint32_t number, uint32_t flags, uint32_t rows, uint32_t columns) {
    return accepts<ProcessSignalRequest>([=](auto& v) { v = {"i", number, flags, rows, columns}; });
  };
  CHECK(signal(1, 0, 0, 0));
  CHECK(signal(64, kSignalGroup, 0, 0));
  CHECK(signal(9, kSignalTree, 0, 0));
  CHECK(signal(0, 0, kMaxTerminalSide, kMaxTerminalSide));
  CHECK_FALSE(signal(65, 0, 0, 0));
  CHECK_FALSE(signal(15, kSignalTree, 0, 0));
  CHECK_FALSE(signal(9, kSignalTree | kSignalGroup, 0, 0));
  CHECK_FALSE(signal(9, 0, 1, 1));
  CHECK_FALSE(signal(0, 0, 0, 1));
  CHECK_FALSE(signal(0, 0, 1, 0));
  CHECK_FALSE(signal(0, kSignalGroup, 1, 1));
  CHECK_FALSE(signal(0, 0, kMaxTerminalSide + 1, 1));
  CHECK_FALSE(signal(0, 0, 1, kMaxTerminalSide + 1));
  CHECK(accepts<ProcessInfo>([](auto& v) { v.command = std::string(kMaxCommandHead, 'c'); }));
  CHECK_FALSE(accepts<ProcessInfo>([](auto& v) { v.command = std::string(kMaxCommandHead + 1, 'c'); }));
  CHECK_FALSE(accepts<ProcessInfo>([](auto& v) { v.command = "a\n"; }));
  CHECK_FALSE(accepts<ProcessInfo>([](auto& v) { v.code = static_cast<int32_t>(svm::Code::again); }));
}

TEST_CASE("exec: argv, shell and environment") {
  check_environment<ExecRequest>();
  const auto only_argv = [](ExecRequest& v, std::vector<std::string> argv) {
    v.argv = std::move(argv);
    v.shell.clear();
    v.env.clear();
  };
  CHECK(accepts<ExecRequest>([&](auto& v) { only_argv(v, std::vector<std::string>(kMaxArgs, "")); }));
  CHECK_FALSE(accepts<ExecRequest>([&](auto& v) { only_argv(v, std::vector<std::string>(kMaxArgs + 1, "")); }));
  CHECK(accepts<ExecRequest>([&](auto& v) { only_argv(v, {std::string(kMaxArgBytes - 1, 'a')}); }));
  CHECK_FALSE(accepts<ExecRequest>([&](auto& v) { only_argv(v, {std::string(kMaxArgBytes, 'a')}); }));
  CHECK_FALSE(accepts<ExecRequest>([&](auto& v) { only_argv(v, {std::string("a\0b", 3)}); }));

  // All strings with their NULs, the shell's too: four full ones are the whole budget, less the empty shell's NUL.
  const std::string full(kMaxArgBytes - 1, 'a');
  const std::string less(kMaxArgBytes - 2, 'a');
  static_assert(kMaxExecBytes == 4 * kMaxArgBytes);
  CHECK(accepts<ExecRequest>([&](auto& v) { only_argv(v, {full, full, full, less}); }));
  CHECK_FALSE(accepts<ExecRequest>([&](auto& v) { only_argv(v, {full, full, full, full}); }));
  const auto with_env = [&](ExecRequest& v, size_t value) {
    only_argv(v, {full, full, full});
    v.env = {{"A", std::string(value, 'x')}};
  };
  CHECK(accepts<ExecRequest>([&](auto& v) { with_env(v, kMaxArgBytes - 4); }));
  CHECK_FALSE(accepts<ExecRequest>([&](auto& v) { with_env(v, kMaxArgBytes - 3); }));

  CHECK(accepts<ExecRequest>([&](auto& v) { only_argv(v, {}), v.shell = std::string(kMaxArgBytes - 1, 's'); }));
  CHECK_FALSE(accepts<ExecRequest>([&](auto& v) { only_argv(v, {}), v.shell = std::string(kMaxArgBytes, 's'); }));
  CHECK_FALSE(accepts<ExecRequest>([&](auto& v) { only_argv(v, {"a"}), v.shell = "b"; }));
}

TEST_CASE("hello") {
  check_environment<Hello>();
  CHECK(accepts<Hello>([](auto& v) { v.groups.assign(kMaxGroups, 5); }));
  CHECK_FALSE(accepts<Hello>([](auto& v) { v.groups.assign(kMaxGroups + 1, 5); }));
  CHECK(accepts<Hello>([](auto& v) { v.uid = v.gid = UINT32_MAX - 1, v.groups = {UINT32_MAX - 1}; }));
  CHECK_FALSE(accepts<Hello>([](auto& v) { v.uid = UINT32_MAX; }));
  CHECK_FALSE(accepts<Hello>([](auto& v) { v.gid = UINT32_MAX; }));
  CHECK_FALSE(accepts<Hello>([](auto& v) { v.groups = {UINT32_MAX}; }));
  CHECK(accepts<Hello>([](auto& v) { v.profile = Profile::build; }));
  CHECK_FALSE(accepts<Hello>([](auto& v) { v.profile = static_cast<Profile>(3); }));
  for (const auto member : {&Hello::home, &Hello::workdir}) {
    CHECK(accepts_path<Hello>(member, "/"));
    CHECK(accepts_path<Hello>(member, "/" + std::string(kMaxPathBytes - 1, 'p')));
    CHECK_FALSE(accepts_path<Hello>(member, "/" + std::string(kMaxPathBytes, 'p')));
    CHECK_FALSE(accepts_path<Hello>(member, ""));
    CHECK_FALSE(accepts_path<Hello>(member, "relative"));
    CHECK_FALSE(accepts_path<Hello>(member, std::string("/a\0b", 4)));
  }
}

TEST_CASE("ready and step failure") {
  CHECK(accepts<Ready>([](auto& v) { v.enforced = (1ull << kEnforcedBits) - 1; }));
  CHECK_FALSE(accepts<Ready>([](auto& v) { v.enforced = 1ull << kEnforcedBits; }));
  CHECK(accepts<StepFailure>([](auto& v) { v.step = static_cast<Step>(1); }));
  CHECK_FALSE(accepts<StepFailure>([](auto& v) { v.step = Step::none; }));
  CHECK(accepts<StepFailure>([](auto& v) { v.step = Step::former_launcher; }));
  CHECK_FALSE(accepts<StepFailure>([](auto& v) { v.step = static_cast<Step>(static_cast<uint16_t>(Step::former_launcher) + 1); }));
  CHECK(accepts<StepFailure>([](auto& v) { v.error = 0; }));
  CHECK_FALSE(accepts<StepFailure>([](auto& v) { v.error = -1; }));
  CHECK(accepts<StepFailure>([](auto& v) { v.error = 4095; }));
  CHECK_FALSE(accepts<StepFailure>([](auto& v) { v.error = 4096; }));
}

TEST_CASE("exec result") {
  CHECK(accepts<ExecResult>([](auto& v) { v.reason = ExecReason::cancelled; }));
  CHECK_FALSE(accepts<ExecResult>([](auto& v) { v.reason = static_cast<ExecReason>(6); }));
  CHECK(accepts<ExecResult>([](auto& v) { v.exit_code = 0; }));
  CHECK_FALSE(accepts<ExecResult>([](auto& v) { v.exit_code = -1; }));
  CHECK(accepts<ExecResult>([](auto& v) { v.exit_code = 255; }));
  CHECK_FALSE(accepts<ExecResult>([](auto& v) { v.exit_code = 256; }));
  CHECK(accepts<ExecResult>([](auto& v) { v.signal = 64; }));
  CHECK_FALSE(accepts<ExecResult>([](auto& v) { v.signal = 65; }));
  CHECK_FALSE(accepts<ExecResult>([](auto& v) { v.signal = -1; }));
  CHECK(accepts<ExecResult>([](auto& v) { v.out_bytes = v.err_bytes = INT64_MAX; }));
  CHECK_FALSE(accepts<ExecResult>([](auto& v) { v.out_bytes = uint64_t{INT64_MAX} + 1; }));
  CHECK_FALSE(accepts<ExecResult>([](auto& v) { v.err_bytes = uint64_t{INT64_MAX} + 1; }));
}

TEST_CASE("file info and entries") {
  CHECK(accepts<FileInfo>([](auto& v) { v.type = FileType::block; }));
  CHECK_FALSE(accepts<FileInfo>([](auto& v) { v.type = static_cast<FileType>(8); }));
  CHECK(accepts<FileInfo>([](auto& v) { v.size = UINT64_MAX, v.mtime_ns = INT64_MIN, v.uid = UINT32_MAX; }));
  CHECK(accepts<FileInfo>([](auto& v) { v.type = FileType::symlink, v.target = std::string(kMaxPathBytes, 't'); }));
  CHECK_FALSE(accepts<FileInfo>([](auto& v) { v.type = FileType::symlink, v.target = std::string(kMaxPathBytes + 1, 't'); }));
  CHECK_FALSE(accepts<FileInfo>([](auto& v) { v.type = FileType::symlink, v.target = std::string("a\0b", 3); }));
  CHECK_FALSE(accepts<FileInfo>([](auto& v) { v.type = FileType::regular, v.target = "t"; }));
  CHECK(accepts<Entry>([](auto& v) { v.name = "n"; }));
  CHECK_FALSE(accepts<Entry>([](auto& v) { v.name = ""; }));
  CHECK(accepts<Entry>([](auto& v) { v.name = std::string(kMaxPathBytes, 'n'); }));
  CHECK_FALSE(accepts<Entry>([](auto& v) { v.name = std::string(kMaxPathBytes + 1, 'n'); }));
  CHECK_FALSE(accepts<Entry>([](auto& v) { v.name = std::string("a\0b", 3); }));
}

TEST_CASE("result") {
  const auto with = [](Code code, int32_t error, std::string message, std::string body) {
    return accepts<Result>([&](Result& v) { v = {code, error, message, body}; });
  };
  CHECK(with(Code::ok, 0, "", std::string(kMaxExecBytes, '\0')));
  CHECK_FALSE(with(Code::ok, 1, "", ""));
  CHECK_FALSE(with(Code::ok, 0, "fine", ""));
  CHECK_FALSE(with(Code::io, 5, "bad", "body"));
  CHECK(with(Code::io, 4095, std::string(512, '~'), ""));
  CHECK_FALSE(with(Code::io, 4096, "", ""));
  CHECK_FALSE(with(Code::io, -1, "", ""));
  CHECK_FALSE(with(Code::io, 5, std::string(513, '~'), ""));
  CHECK(with(Code::io, 5, " ~", ""));
  CHECK(accepts<Result>([](auto& v) { v = {Code::io, 0, "", "", Subject::workdir}; }));
  CHECK(accepts<Result>([](auto& v) { v = {Code::io, 0, "", "", Subject::group}; }));
  CHECK_FALSE(accepts<Result>([](auto& v) { v = {Code::io, 0, "", "", static_cast<Subject>(5)}; }));
  CHECK_FALSE(accepts<Result>([](auto& v) { v = {Code::ok, 0, "", "", Subject::user}; }));
  for (const char c : {'\0', '\n', '\x1f', '\x7f', '\x80', '\xff'}) CHECK_FALSE(with(Code::io, 5, std::string("a") + c, ""));
  for (int32_t code = -120; code <= 20; ++code) {
    CAPTURE(code);
    const auto value = static_cast<Code>(code);
    CHECK(with(value, 0, "", "") == (code_is_known(code) && value != Code::again && value != Code::end));
  }
}

TEST_CASE("ports") {
  for (const uint32_t port : {1u, 80u, kMaxPort}) CHECK(accepts<DialRequest>([&](auto& v) { v.port = port, v.path = ""; }));
  CHECK_FALSE(accepts<DialRequest>([](auto& v) { v.port = kMaxPort + 1, v.path = ""; }));
  CHECK_FALSE(accepts<DialRequest>([](auto& v) { v.port = 0, v.path = ""; }));
  CHECK_FALSE(accepts<DialRequest>([](auto& v) { v.port = 1, v.path = "/a"; }));
  CHECK(accepts<DiskStats>([](auto& v) { v = {10, 10, 3, 3}; }));
  CHECK_FALSE(accepts<DiskStats>([](auto& v) { v = {10, 11, 3, 3}; }));
  CHECK_FALSE(accepts<DiskStats>([](auto& v) { v = {10, 10, 3, 4}; }));
  CHECK(accepts<ListeningRequest>([](auto& v) { v.port = 0, v.path = ""; }));
  CHECK(accepts<ListeningRequest>([](auto& v) { v.port = kMaxPort, v.path = ""; }));
  CHECK_FALSE(accepts<ListeningRequest>([](auto& v) { v.port = kMaxPort + 1, v.path = ""; }));
  CHECK_FALSE(accepts<ListeningRequest>([](auto& v) { v.port = 1, v.path = "/a"; }));
  const Listener one{1, UINT32_MAX, "::"};
  CHECK(accepts<Listeners>([&](auto& v) { v.items.assign(kMaxListeners, one); }));
  CHECK_FALSE(accepts<Listeners>([&](auto& v) { v.items.assign(kMaxListeners + 1, one); }));
  for (const uint32_t port : {0u, kMaxPort + 1}) CHECK_FALSE(accepts<Listeners>([&](auto& v) { v.items = {{port, 0, "::"}}; }));
  CHECK(accepts<Listeners>([](auto& v) { v.items = {{1, 0, std::string(kMaxAddressBytes, ':')}}; }));
  for (const std::string& address : {std::string(), std::string(kMaxAddressBytes + 1, ':'), std::string("\n"), std::string("\x80")})
    CHECK_FALSE(accepts<Listeners>([&](auto& v) { v.items = {{1, 0, address}}; }));
}

TEST_CASE("watch events") {
  const auto event = [](WatchKind kind, std::string path, std::string to) { return accepts<WatchEvent>([&](auto& v) { v = {kind, false, path, to}; }); };
  CHECK(event(WatchKind::created, "/" + std::string(kMaxPathBytes - 1, 'p'), ""));
  CHECK_FALSE(event(WatchKind::created, "/" + std::string(kMaxPathBytes, 'p'), ""));
  CHECK_FALSE(event(WatchKind::created, "", ""));
  CHECK_FALSE(event(WatchKind::created, "a", ""));
  CHECK_FALSE(event(WatchKind::created, "/a", "/b"));
  CHECK(event(WatchKind::renamed, "/a", "/" + std::string(kMaxPathBytes - 1, 'p')));
  CHECK_FALSE(event(WatchKind::renamed, "/a", "/" + std::string(kMaxPathBytes, 'p')));
  CHECK_FALSE(event(WatchKind::renamed, "/a", ""));
  CHECK_FALSE(event(WatchKind::renamed, "/a", "b"));
  CHECK_FALSE(event(static_cast<WatchKind>(7), "/a", ""));
}

TEST_CASE("paths in a tree") {
  for (const char* good : {"a", "a/b", "...", "..a/.b", "-", " ", "\n", "\xff"}) CHECK(is_tree_path(good));
  for (const char* bad : {"", "/", "/a", "a/", "a//b", ".", "..", "a/.", "a/../b", "./a"}) CHECK_FALSE(is_tree_path(bad));
  CHECK_FALSE(is_tree_path(std::string_view("a\0b", 3)));
  CHECK(is_tree_path(std::string(kMaxTreeComponent, 'n')));
  CHECK_FALSE(is_tree_path(std::string(kMaxTreeComponent + 1, 'n')));
  std::string longest;
  while (longest.size() < kMaxPathBytes - 1) longest += "a/";
  longest.back() = 'a';
  longest += 'b';
  CHECK(longest.size() == kMaxPathBytes);
  CHECK(is_tree_path(longest));
  CHECK_FALSE(is_tree_path(longest + "c"));
}

TEST_CASE("entries of a tree") {
  const auto entry = [](TreeType type, std::string target, uint64_t size) {
    return accepts<TreeEntry>([&](auto& v) { v = {type, "p", target, 0, size, 0, 0, 0}; });
  };
  CHECK(entry(TreeType::file, "", kMaxTreeFile));
  CHECK_FALSE(entry(TreeType::file, "", kMaxTreeFile + 1));
  CHECK_FALSE(entry(TreeType::file, "t", 0));
  CHECK_FALSE(entry(TreeType::directory, "", 1));
  CHECK_FALSE(entry(TreeType::symlink, "", 0));
  CHECK(entry(TreeType::symlink, std::string(kMaxPathBytes, '/'), 0));
  CHECK_FALSE(entry(TreeType::symlink, std::string(kMaxPathBytes + 1, '/'), 0));
  CHECK(entry(TreeType::hardlink, "a/b", 0));
  CHECK_FALSE(entry(TreeType::hardlink, "../b", 0));
  CHECK_FALSE(entry(static_cast<TreeType>(5), "", 0));
  for (const uint32_t size : {0u, kMaxTreeHeader + 1}) {
    std::string bytes;
    for (int i = 0; i < 4; ++i) bytes += static_cast<char>(size >> (8 * i) & 0xff);
    TreeEntry out;
    TreeParser parser;
    std::string_view in = bytes, content;
    CHECK(parser.next(in, out, content) == TreeParser::Item::malformed);
  }
}

TEST_CASE("a tree in pieces of any size is the same tree") {
  std::string bytes;
  std::vector<TreeEntry> entries;
  std::string contents;
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    TreeEntry entry = make<TreeEntry>(seed);
    if (entry.size > 0) entry.size = seed * 7;
    encode(bytes, entry);
    const std::string content(static_cast<size_t>(entry.size), static_cast<char>('a' + seed % 26));
    bytes += content;
    contents += content;
    entries.push_back(entry);
  }
  for (const size_t piece : {size_t{1}, size_t{3}, size_t{64}, bytes.size()}) {
    TreeParser parser;
    std::vector<TreeEntry> got;
    std::string content_got;
    for (size_t at = 0; at < bytes.size(); at += piece) {
      std::string_view in = std::string_view(bytes).substr(at, piece), content;
      for (TreeEntry entry;;) {
        const auto item = parser.next(in, entry, content);
        if (item == TreeParser::Item::need_more) break;
        REQUIRE(item != TreeParser::Item::malformed);
        if (item == TreeParser::Item::entry) got.push_back(entry);
        else content_got += content;
      }
    }
    CHECK(parser.complete());
    CHECK(got == entries);
    CHECK(content_got == contents);
  }
}
