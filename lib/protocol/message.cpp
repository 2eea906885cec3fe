#include "protocol/message.hpp"

#include "protocol/fields.hpp"
#include "protocol/frame.hpp"

namespace svm::protocol {
namespace {

constexpr size_t kLeastString = 4;       // an empty string's encoding
constexpr size_t kMaxMessageBytes = 512;
constexpr uint32_t kMaxMode = 07777;
constexpr int32_t kMaxExitCode = 255;
constexpr int32_t kMaxSignal = 64;
constexpr uint32_t kSignalKill = 9;

using Environment = std::vector<std::pair<std::string, std::string>>;

bool is_printable(std::string_view text) noexcept {
  for (const char c : text)
    if (c < 0x20 || c > 0x7e) return false;
  return true;
}

/// A code that can end a stream: "nothing yet" and "end of stream" are no outcomes.
bool is_outcome(int32_t code) noexcept {
  return code_is_known(code) && code != static_cast<int32_t>(Code::again) && code != static_cast<int32_t>(Code::end);
}

template <class V, class S>
void user(V& v, S& s) { v.text(s, 0, kMaxUserBytes); }

template <class V, class S>
void mode(V& v, S& s) { v.range(s, uint32_t{0}, kMaxMode); }

template <class V>
void environment(V& v, typename V::template Of<Environment>& env, ExecBudget& budget) {
  v.list(env, kMaxEnv, 2 * kLeastString, [&](auto& variable) {
    v.text(variable.first, 1, kMaxArgBytes);
    v.text(variable.second, 0, kMaxArgBytes);
    v.require([&] {
      return variable.first.find('=') == std::string::npos && budget.take(variable.first.size() + 1 + variable.second.size());
    });
  });
}

template <class V>
void fields(V& v, typename V::template Of<Hello>& s) {
  v.number(s.version);
  v.choice(s.profile, Profile::build);
  v.flag(s.rootless);
  id(v, s.uid);
  id(v, s.gid);
  v.list(s.groups, kMaxGroups, sizeof(uint32_t), [&](auto& group) { id(v, group); });
  absolute_path(v, s.home);
  absolute_path(v, s.workdir);
  ExecBudget budget;
  environment(v, s.env, budget);
  v.number(s.open_files);
  v.number(s.processes);
}

template <class V>
void fields(V& v, typename V::template Of<Ready>& s) {
  v.number(s.version);
  enforced_bits(v, s.enforced);
  v.number(s.landlock_abi);
}

template <class V>
void fields(V& v, typename V::template Of<ExecRequest>& s) {
  v.text(s.id, 0, kMaxExecIdBytes);
  ExecBudget budget;
  v.list(s.argv, kMaxArgs, kLeastString, [&](auto& argument) { v.argument(argument, budget); });
  v.argument(s.shell, budget);
  v.require([&] { return s.argv.empty() || s.shell.empty(); });
  environment(v, s.env, budget);
  path(v, s.cwd);
  user(v, s.user);
  v.flag(s.use_stdin);
  v.flag(s.merge);
  v.number(s.timeout_ms);
  v.number(s.output_limit);
  v.flag(s.terminal);
  v.range(s.rows, 0u, kMaxTerminalSide);
  v.range(s.columns, 0u, kMaxTerminalSide);
  v.flag(s.background);
  v.range(s.ring_bytes, uint64_t{0}, kMaxRingBytes);
  v.require([&] {
    if (s.terminal ? s.merge : s.rows != 0 || s.columns != 0) return false;
    return s.background ? !s.id.empty() && (s.ring_bytes == 0 || s.ring_bytes >= kMinRingBytes) : s.ring_bytes == 0;
  });
}

template <class V>
void fields(V& v, typename V::template Of<AttachRequest>& s) {
  v.text(s.id, 1, kMaxExecIdBytes);
  v.number(s.from);
  v.flag(s.quiet);
}

template <class V>
void fields(V&, typename V::template Of<ProcessListRequest>&) {}

template <class V>
void fields(V& v, typename V::template Of<ProcessSignalRequest>& s) {
  v.text(s.id, 1, kMaxExecIdBytes);
  v.range(s.signal, 0u, static_cast<uint32_t>(kMaxSignal));
  v.range(s.flags, 0u, kSignalTree);
  v.range(s.rows, 0u, kMaxTerminalSide);
  v.range(s.columns, 0u, kMaxTerminalSide);
  v.require([&] {
    if (s.signal == 0) return s.flags == 0 && s.rows != 0 && s.columns != 0;
    return s.rows == 0 && s.columns == 0 && (s.flags != kSignalTree || s.signal == kSignalKill);
  });
}

template <class V>
void fields(V& v, typename V::template Of<ConsoleRequest>& s) {
  v.number(s.lines);
  v.flag(s.follow);
}

template <class V>
void fields(V& v, typename V::template Of<ReadRequest>& s) {
  path(v, s.path);
  v.number(s.offset);
  v.number(s.length);
  user(v, s.user);
}

template <class V>
void fields(V& v, typename V::template Of<WriteRequest>& s) {
  path(v, s.path);
  mode(v, s.mode);
  v.range(s.flags, uint32_t{0}, kWriteParents | kWriteExclusive | kWriteAppend | kWriteRestart | kWriteStaged);
  user(v, s.user);
  v.text(s.upload, 0, kMaxUploadBytes);
  v.number(s.offset);
  v.require([&] {
    const bool restart = (s.flags & kWriteRestart) != 0;
    if (s.upload.empty()) return s.offset == 0 && !restart && (s.flags & kWriteStaged) == 0;
    return is_printable(s.upload) && (s.flags & kWriteAppend) == 0 && !(restart && (s.offset != 0 || (s.flags & kWriteStaged) != 0));
  });
}

template <class V>
void fields(V& v, typename V::template Of<StatRequest>& s) {
  path(v, s.path);
  v.flag(s.follow);
  user(v, s.user);
}

template <class V>
void fields(V& v, typename V::template Of<ListRequest>& s) {
  path(v, s.path);
  v.number(s.limit);
  v.range(s.depth, 1u, kMaxListDepth);
  user(v, s.user);
}

template <class V>
void fields(V& v, typename V::template Of<GlobRequest>& s) {
  path(v, s.pattern);
  v.number(s.limit);
  user(v, s.user);
}

template <class V, class S>
void search_text(V& v, S& s) {
  v.blob(s);
  v.require([&] { return !s.empty() && s.size() <= kMaxSearchBytes; });
}

template <class V>
void fields(V& v, typename V::template Of<SearchRequest>& s) {
  path(v, s.path);
  search_text(v, s.text);
  v.number(s.limit);
  user(v, s.user);
}

template <class V>
void fields(V& v, typename V::template Of<SearchMatch>& s) {
  v.text(s.path, 1, kMaxPathBytes);
  v.number(s.line);
  v.blob(s.text);
  v.require([&] { return s.line > 0 && s.text.size() <= kMaxMatchBytes; });
}

template <class V>
void fields(V& v, typename V::template Of<SearchSummary>& s) {
  v.number(s.files);
  v.number(s.skipped);
  v.flag(s.more);
}

template <class V>
void fields(V& v, typename V::template Of<ReplaceRequest>& s) {
  path(v, s.path);
  search_text(v, s.text);
  v.blob(s.replacement);
  v.require([&] { return s.replacement.size() <= kMaxReplacementBytes; });
  user(v, s.user);
}

template <class V>
void fields(V& v, typename V::template Of<Replaced>& s) {
  v.number(s.count);
}

template <class V>
void fields(V& v, typename V::template Of<MoveRequest>& s) {
  path(v, s.from);
  path(v, s.to);
  v.flag(s.replace);
  user(v, s.user);
}

template <class V>
void fields(V& v, typename V::template Of<CopyRequest>& s) {
  path(v, s.from);
  path(v, s.to);
  v.flag(s.recursive);
  v.flag(s.replace);
  user(v, s.user);
}

template <class V>
void fields(V& v, typename V::template Of<ChmodRequest>& s) {
  path(v, s.path);
  mode(v, s.mode);
  user(v, s.user);
  v.flag(s.sets_mode);
  user(v, s.owner);
  user(v, s.group);
  v.require([&] { return s.sets_mode || (s.mode == 0 && !(s.owner.empty() && s.group.empty())); });
}

template <class V>
void fields(V& v, typename V::template Of<MkdirRequest>& s) {
  path(v, s.path);
  mode(v, s.mode);
  v.flag(s.parents);
  user(v, s.user);
}

template <class V>
void fields(V& v, typename V::template Of<RemoveRequest>& s) {
  path(v, s.path);
  v.flag(s.recursive);
  user(v, s.user);
}

template <class V>
void fields(V& v, typename V::template Of<SymlinkRequest>& s) {
  path(v, s.target);
  path(v, s.path);
  v.flag(s.parents);
  user(v, s.user);
  v.flag(s.replace);
}

template <class V>
void fields(V& v, typename V::template Of<LinkRequest>& s) {
  path(v, s.existing);
  path(v, s.path);
  v.flag(s.parents);
  user(v, s.user);
}

template <class V>
void fields(V& v, typename V::template Of<WatchRequest>& s) {
  path(v, s.path);
  v.flag(s.recursive);
  user(v, s.user);
}

template <class V>
void fields(V& v, typename V::template Of<WatchEvent>& s) {
  v.choice(s.kind, WatchKind::overflow);
  v.flag(s.is_directory);
  absolute_path(v, s.path);
  path(v, s.to);
  v.require([&] { return s.kind == WatchKind::renamed ? s.to.starts_with('/') : s.to.empty(); });
}

template <class V>
void fields(V& v, typename V::template Of<PackRequest>& s) {
  path(v, s.path);
  user(v, s.user);
}

template <class V>
void fields(V& v, typename V::template Of<UnpackRequest>& s) {
  path(v, s.path);
  user(v, s.user);
}

template <class V>
void fields(V& v, typename V::template Of<TreeSummary>& s) {
  v.number(s.entries);
  v.number(s.bytes);
  v.number(s.skipped);
}

template <class V>
void fields(V& v, typename V::template Of<DialRequest>& s) {
  v.range(s.port, uint32_t{0}, kMaxPort);
  path(v, s.path);
  user(v, s.user);
  v.require([&] { return (s.port == 0) != s.path.empty(); });
}

template <class V>
void fields(V& v, typename V::template Of<ListeningRequest>& s) {
  v.range(s.port, uint32_t{0}, kMaxPort);
  path(v, s.path);
  v.number(s.wait_ms);
  user(v, s.user);
  v.require([&] { return s.port == 0 || s.path.empty(); });
}

template <class V>
void fields(V& v, typename V::template Of<Listeners>& s) {
  v.list(s.items, kMaxListeners, 2 * sizeof(uint32_t) + kLeastString, [&](auto& listener) {
    v.range(listener.port, uint32_t{1}, kMaxPort);
    v.number(listener.uid);
    v.text(listener.address, 1, kMaxAddressBytes);
    v.require([&] { return is_printable(listener.address); });
  });
}

template <class V>
void fields(V&, typename V::template Of<StatsRequest>&) {}

template <class V>
void fields(V& v, typename V::template Of<DiskStats>& s) {
  v.number(s.size);
  v.number(s.used);
  v.number(s.inodes);
  v.number(s.inodes_used);
  v.require([&] { return s.used <= s.size && s.inodes_used <= s.inodes; });
}

template <class V>
void fields(V& v, typename V::template Of<ExecResult>& s) {
  v.choice(s.reason, ExecReason::cancelled);
  v.range(s.exit_code, 0, kMaxExitCode);
  v.range(s.signal, 0, kMaxSignal);
  v.number(s.wall_us);
  v.number(s.cpu_us);
  v.number(s.memory_peak);
  v.range(s.out_bytes, uint64_t{0}, uint64_t{INT64_MAX});
  v.range(s.err_bytes, uint64_t{0}, uint64_t{INT64_MAX});
}

template <class V>
void fields(V& v, typename V::template Of<ProcessInfo>& s) {
  v.text(s.id, 0, kMaxExecIdBytes);
  v.text(s.command, 0, kMaxCommandHead);
  v.number(s.pid);
  v.number(s.started_ms);
  v.flag(s.background);
  v.flag(s.terminal);
  v.flag(s.running);
  v.number(s.output);
  v.number(s.lost);
  v.number(s.attached);
  v.any(s.code);
  fields(v, s.result);
  v.require([&] { return is_outcome(s.code) && is_printable(s.command); });
}

template <class V>
void fields(V& v, typename V::template Of<FileInfo>& s) {
  v.choice(s.type, FileType::block);
  mode(v, s.mode);
  v.number(s.size);
  v.number(s.inode);
  v.number(s.mtime_ns);
  v.number(s.uid);
  v.number(s.gid);
  v.number(s.nlink);
  path(v, s.target);
  v.require([&] { return s.type == FileType::symlink || s.target.empty(); });
}

template <class V>
void fields(V& v, typename V::template Of<Entry>& s) {
  v.text(s.name, 1, kMaxPathBytes);
  fields(v, s.info);
}

template <class V>
void result_fields(V& v, typename V::template Of<int32_t>& code, typename V::template Of<Result>& s) {
  v.any(code);
  v.range(s.error, 0, kMaxErrno);
  v.text(s.message, 0, kMaxMessageBytes);
  v.blob(s.body);
  v.choice(s.subject, Subject::group);
  v.require([&] {
    if (!is_outcome(code)) return false;
    return code == static_cast<int32_t>(Code::ok) ? s.error == 0 && s.message.empty() && s.subject == Subject::other : s.body.empty() && is_printable(s.message);
  });
}

template <class T>
void encode_fields(std::string& out, const T& v) {
  FieldWriter writer(out);
  fields(writer, v);
}

template <class T>
bool decode_fields(std::string_view in, T& v) {
  FieldReader reader(in);
  fields(reader, v);
  return reader.done();
}

template <class T>
void encode_request(std::string& out, Op op, const T& v) {
  ByteWriter(out).u16(static_cast<uint16_t>(op));
  encode_fields(out, v);
}

/// One of several in a payload: framed by its own length.
template <class T>
void encode_item(std::string& out, const T& v) {
  std::string item;
  encode_fields(item, v);
  ByteWriter(out).bytes(item);
}

template <class T>
bool decode_items(std::string_view in, std::vector<T>& out) {
  ByteReader reader(in);
  while (!reader.done()) {
    const std::string_view encoded = reader.bytes();
    T item;
    if (!reader.ok() || !decode_fields(encoded, item)) return false;
    out.push_back(std::move(item));
  }
  return true;
}

}  // namespace

void encode(std::string& out, const Hello& v) { encode_fields(out, v); }
bool decode(std::string_view in, Hello& v) { return decode_fields(in, v); }
void encode(std::string& out, const Ready& v) { encode_fields(out, v); }
bool decode(std::string_view in, Ready& v) { return decode_fields(in, v); }
void encode(std::string& out, const StepFailure& v) { encode_fields(out, v); }
bool decode(std::string_view in, StepFailure& v) { return decode_fields(in, v); }
void encode(std::string& out, const ExecResult& v) { encode_fields(out, v); }
bool decode(std::string_view in, ExecResult& v) { return decode_fields(in, v); }
void encode(std::string& out, const FileInfo& v) { encode_fields(out, v); }
bool decode(std::string_view in, FileInfo& v) { return decode_fields(in, v); }

void encode(std::string& out, const ExecRequest& v) { encode_request(out, Op::exec, v); }
void encode(std::string& out, const ReadRequest& v) { encode_request(out, Op::read, v); }
void encode(std::string& out, const WriteRequest& v) { encode_request(out, Op::write, v); }
void encode(std::string& out, const StatRequest& v) { encode_request(out, Op::stat, v); }
void encode(std::string& out, const ListRequest& v) { encode_request(out, Op::list, v); }
void encode(std::string& out, const GlobRequest& v) { encode_request(out, Op::glob, v); }
void encode(std::string& out, const SearchRequest& v) { encode_request(out, Op::search, v); }
void encode(std::string& out, const SearchSummary& v) { encode_fields(out, v); }
bool decode(std::string_view in, SearchSummary& v) { return decode_fields(in, v); }
void encode(std::string& out, const ReplaceRequest& v) { encode_request(out, Op::replace, v); }
void encode(std::string& out, const Replaced& v) { encode_fields(out, v); }
bool decode(std::string_view in, Replaced& v) { return decode_fields(in, v); }
void encode(std::string& out, const MoveRequest& v) { encode_request(out, Op::move, v); }
void encode(std::string& out, const CopyRequest& v) { encode_request(out, Op::copy, v); }
void encode(std::string& out, const ChmodRequest& v) { encode_request(out, Op::chmod, v); }
void encode(std::string& out, const MkdirRequest& v) { encode_request(out, Op::mkdir, v); }
void encode(std::string& out, const RemoveRequest& v) { encode_request(out, Op::remove, v); }
void encode(std::string& out, const SymlinkRequest& v) { encode_request(out, Op::symlink, v); }
void encode(std::string& out, const LinkRequest& v) { encode_request(out, Op::link, v); }
void encode(std::string& out, const DialRequest& v) { encode_request(out, Op::dial, v); }
void encode(std::string& out, const ListeningRequest& v) { encode_request(out, Op::listening, v); }
void encode(std::string& out, const StatsRequest& v) { encode_request(out, Op::stats, v); }
void encode(std::string& out, const WatchRequest& v) { encode_request(out, Op::watch, v); }
void encode(std::string& out, const PackRequest& v) { encode_request(out, Op::pack, v); }
void encode(std::string& out, const UnpackRequest& v) { encode_request(out, Op::unpack, v); }
void encode(std::string& out, const TreeSummary& v) { encode_fields(out, v); }
bool decode(std::string_view in, TreeSummary& v) { return decode_fields(in, v); }
void encode(std::string& out, const Listeners& v) { encode_fields(out, v); }
bool decode(std::string_view in, Listeners& v) { return decode_fields(in, v); }
void encode(std::string& out, const AttachRequest& v) { encode_request(out, Op::attach, v); }
void encode(std::string& out, const ProcessListRequest& v) { encode_request(out, Op::process_list, v); }
void encode(std::string& out, const ProcessSignalRequest& v) { encode_request(out, Op::process_signal, v); }
void encode(std::string& out, const ConsoleRequest& v) { encode_request(out, Op::console, v); }
void encode(std::string& out, const DiskStats& v) { encode_fields(out, v); }
bool decode(std::string_view in, DiskStats& v) { return decode_fields(in, v); }

bool decode(std::string_view in, Request& v) {
  ByteReader op(in.substr(0, sizeof(uint16_t)));
  const uint16_t number = op.u16();
  if (!op.done()) return false;
  in.remove_prefix(sizeof(uint16_t));
  v.op = static_cast<Op>(number);
  switch (v.op) {
    case Op::exec: return decode_fields(in, v.exec);
    case Op::read: return decode_fields(in, v.read);
    case Op::write: return decode_fields(in, v.write);
    case Op::stat: return decode_fields(in, v.stat);
    case Op::list: return decode_fields(in, v.list);
    case Op::glob: return decode_fields(in, v.glob);
    case Op::search: return decode_fields(in, v.search);
    case Op::replace: return decode_fields(in, v.replace);
    case Op::move: return decode_fields(in, v.move);
    case Op::copy: return decode_fields(in, v.copy);
    case Op::chmod: return decode_fields(in, v.chmod);
    case Op::mkdir: return decode_fields(in, v.mkdir);
    case Op::remove: return decode_fields(in, v.remove);
    case Op::symlink: return decode_fields(in, v.symlink);
    case Op::link: return decode_fields(in, v.link);
    case Op::dial: return decode_fields(in, v.dial);
    case Op::listening: return decode_fields(in, v.listening);
    case Op::stats: return decode_fields(in, v.stats);
    case Op::watch: return decode_fields(in, v.watch);
    case Op::pack: return decode_fields(in, v.pack);
    case Op::unpack: return decode_fields(in, v.unpack);
    case Op::attach: return decode_fields(in, v.attach);
    case Op::process_list: return decode_fields(in, v.process_list);
    case Op::process_signal: return decode_fields(in, v.process_signal);
    case Op::console: return decode_fields(in, v.console);
  }
  return false;
}

void encode(std::string& out, const Entry& v) { encode_item(out, v); }
bool decode_entries(std::string_view in, std::vector<Entry>& out) { return decode_items(in, out); }
void encode(std::string& out, const SearchMatch& v) { encode_item(out, v); }
bool decode_matches(std::string_view in, std::vector<SearchMatch>& out) { return decode_items(in, out); }
void encode(std::string& out, const WatchEvent& v) { encode_item(out, v); }
bool decode_watch_events(std::string_view in, std::vector<WatchEvent>& out) { return decode_items(in, out); }
void encode(std::string& out, const ProcessInfo& v) { encode_item(out, v); }

bool decode_processes(std::string_view in, std::vector<ProcessInfo>& out) { return decode_items(in, out); }

void encode(std::string& out, const Result& v) {
  FieldWriter writer(out);
  result_fields(writer, static_cast<int32_t>(v.code), v);
}

bool decode(std::string_view in, Result& v) {
  FieldReader reader(in);
  int32_t code = 0;
  result_fields(reader, code, v);
  if (!reader.done()) return false;
  v.code = static_cast<Code>(code);
  return true;
}

}  // namespace svm::protocol
