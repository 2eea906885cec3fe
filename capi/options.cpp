#include "options.hpp"

#include <algorithm>

#include "model/fields.hpp"
#include "model/limits.hpp"
#include "model/utf8.hpp"
#include "protocol/message.hpp"

namespace svm::capi {
namespace {

/// Counts beyond this are refused before anything is read: the pointer is hardly valid for as much.
constexpr uint32_t kMaxItems = protocol::kMaxArgs;
constexpr size_t kMaxAuditText = 256;
constexpr size_t kMaxKey = 4096;
constexpr size_t kMaxServerRequestId = 128;

void check_list(const void* items, uint32_t count, const char* field) {
  if (count > kMaxItems) throw invalid(field, "more than " + std::to_string(kMaxItems));
  if (count > 0 && !items) throw invalid(field, "NULL, but its count is not zero");
}

std::string item(const char* field, uint32_t index) { return std::string(field) + '[' + std::to_string(index) + ']'; }

model::StringMap map_of(const stacyvm_pair* pairs, uint32_t count, const char* field) {
  check_list(pairs, count, field);
  model::StringMap map;
  for (uint32_t i = 0; i < count; ++i) {
    if (!pairs[i].key || !pairs[i].value) throw invalid(item(field, i), "NULL");
    if (!map.emplace(pairs[i].key, pairs[i].value).second) throw invalid(item(field, i), "the key is there twice");
  }
  return map;
}

std::string audit_text(const char* text, const char* field) {
  std::string copy = text_or_empty(text);
  if (copy.size() > kMaxAuditText) throw invalid(field, "longer than " + std::to_string(kMaxAuditText) + " bytes");
  return copy;
}

bool is_line(std::string_view text) {
  const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  return model::is_utf8(text) && std::none_of(text.begin(), text.end(), is_control);
}

/// What may be in a header of HTTP, whoever reads it.
bool is_visible(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c <= '~'; });
}

std::string actor_of(const char* text, bool local) {
  std::string actor = audit_text(text, "actor");
  if (actor.empty()) return local ? "local" : "remote";
  if (!is_line(actor)) throw invalid("actor", "not a line of UTF-8");
  // Whoever reads the log must be able to tell these from each other.
  if (actor == "system" || (!local && actor == "local")) throw invalid("actor", actor + " is the name of another one");
  return actor;
}

std::string owner_of(const char* text) {
  std::string owner = text_or_empty(text);
  constexpr const char* kBlanks = " \t\r\n\v\f";
  const size_t first = owner.find_first_not_of(kBlanks);
  if (first == owner.npos) return "";
  owner = owner.substr(first, owner.find_last_not_of(kBlanks) - first + 1);
  model::SpawnRequest bounds;
  bounds.owner_id = owner;
  try {
    model::validate(bounds);
  } catch (const Error& error) {
    const auto limit = std::find_if(error.facts().begin(), error.facts().end(), [](const auto& fact) { return fact.first == "limit"; });
    Error named = invalid("owner", error.message().substr(error.message().find(": ") + 2));  // it said owner_id
    if (limit == error.facts().end()) throw named;
    throw std::move(named).with("limit", limit->second);
  }
  return owner;
}

}  // namespace

void check_struct(const void* at, uint32_t first, uint32_t ours, const char* name) {
  uint32_t theirs = 0;
  std::memcpy(&theirs, at, sizeof theirs);
  if (theirs < first || theirs > kMaxStructSize) throw invalid(std::string(name) + ".struct_size", "wrong; use STACYVM_INIT");
  const auto* bytes = static_cast<const unsigned char*>(at);
  for (uint32_t i = ours; i < theirs; ++i)
    if (bytes[i] != 0) throw invalid(name, "byte " + std::to_string(i) + " is set, which this version of the library does not know");
}

void refuse_unknown_flags(uint64_t flags, uint64_t known) {
  if ((flags & ~known) == 0) return;
  throw invalid("flags", "unknown or not for this call: bit " + std::to_string(__builtin_ctzll(flags & ~known)));
}

std::string text_or_empty(const char* text) { return text ? std::string(text) : std::string(); }

std::string required_text(const char* text, const char* field) {
  if (!text) throw invalid(field, "NULL");
  if (!*text) throw invalid(field, "empty");
  return text;
}

Caller session_caller(const stacyvm_session_options& o, bool remote) {
  refuse_unknown_flags(o.flags, STACYVM_SESSION_REMOTE);
  Caller caller;
  model::Identity& identity = caller.identity;
  identity.local = (o.flags & STACYVM_SESSION_REMOTE) == 0;
  identity.actor = actor_of(o.actor, identity.local);
  identity.owner = owner_of(o.owner);
  identity.source = audit_text(o.source, "source");
  identity.request_id = audit_text(o.request_id, "request_id");
  identity.scopes = {"*"};
  const std::string key = text_or_empty(o.api_key);
  if (!remote) {
    if (!key.empty()) throw Error(Code::unsupported, "api_key: is shown to a server, and the instance is none").with("field", "api_key");
    return caller;
  }
  // What it could not be told must not look as if it were.
  if (!identity.source.empty()) throw invalid("source", "a server sees itself where a call comes from");
  if (!text_or_empty(o.actor).empty()) throw invalid("actor", "a server knows callers by their keys");
  if (key.size() > kMaxKey) throw invalid("api_key", "longer than " + std::to_string(kMaxKey) + " bytes").with("limit", static_cast<long long>(kMaxKey));
  if (!is_visible(key)) throw invalid("api_key", "not visible ASCII");
  if (identity.request_id.size() > kMaxServerRequestId)
    throw invalid("request_id", "longer than the " + std::to_string(kMaxServerRequestId) + " bytes that a server takes").with("limit", static_cast<long long>(kMaxServerRequestId));
  if (!is_visible(identity.request_id)) throw invalid("request_id", "not visible ASCII, which alone a server takes");
  if (!is_visible(identity.owner)) throw invalid("owner", "not visible ASCII, which alone a server takes");
  identity.local = false;
  identity.actor = "remote";
  caller.remote = {key, identity.owner, identity.request_id};
  return caller;
}

model::Settings settings_of(const stacyvm_options& o) {
  if (!o.settings || !*o.settings) return {};
  const size_t size = ::strnlen(o.settings, model::kMaxSettingsBytes + 1);
  if (size > model::kMaxSettingsBytes)
    throw invalid("settings", "longer than " + std::to_string(model::kMaxSettingsBytes) + " bytes").with("limit", static_cast<long long>(model::kMaxSettingsBytes));
  try {
    return model::decode<model::Settings>({}, {o.settings, size});
  } catch (Error& error) {
    error.prefix("settings");
    throw;
  }
}

model::SpawnRequest spawn_request(const stacyvm_spawn_options& o) {
  refuse_unknown_flags(o.flags, STACYVM_SPAWN_BEST_EFFORT | STACYVM_SPAWN_GET_OR_CREATE);
  if (o.reserved1 != 0) throw invalid("reserved1", "not zero");
  model::SpawnRequest r;
  r.image = text_or_empty(o.image);
  r.provider = text_or_empty(o.provider);
  r.profile = text_or_empty(o.profile);
  r.user = text_or_empty(o.user);
  r.network = text_or_empty(o.network);
  r.owner_id = text_or_empty(o.owner);
  r.memory_bytes = o.memory_bytes;
  r.disk_bytes = o.disk_bytes;
  r.milli_cpus = o.milli_cpus;
  r.pids = o.pids;
  if (o.ttl_ms < 0) throw invalid("ttl_ms", "negative: every sandbox expires");
  r.ttl_ms = o.ttl_ms;
  r.metadata = map_of(o.labels, o.label_count, "labels");
  r.env = map_of(o.env, o.env_count, "env");
  check_list(o.mounts, o.mount_count, "mounts");
  for (uint32_t i = 0; i < o.mount_count; ++i) {
    const stacyvm_mount& m = o.mounts[i];
    if (!m.host || !m.guest) throw invalid(item("mounts", i), "NULL");
    refuse_unknown_flags(m.flags, STACYVM_MOUNT_WRITABLE);
    r.mounts.push_back({m.host, m.guest, (m.flags & STACYVM_MOUNT_WRITABLE) != 0});
  }
  r.best_effort = (o.flags & STACYVM_SPAWN_BEST_EFFORT) != 0;
  r.get_or_create = (o.flags & STACYVM_SPAWN_GET_OR_CREATE) != 0;
  r.name = text_or_empty(o.name);
  r.idempotency_key = text_or_empty(o.idempotency_key);
  if (o.timeout_ms < -1) throw invalid("timeout_ms", "below -1");
  r.timeout_ms = o.timeout_ms == -1 ? 0 : o.timeout_ms;  // of the sandbox: none either way
  r.template_name = text_or_empty(o.template_name);
  return r;
}

model::ExecRequest exec_request(const stacyvm_exec_options& o, std::string id, bool streamed) {
  refuse_unknown_flags(o.flags, STACYVM_EXEC_MERGE | (streamed ? STACYVM_EXEC_STDIN | STACYVM_EXEC_TEXT | STACYVM_EXEC_PTY | STACYVM_EXEC_BACKGROUND : 0));
  model::ExecRequest r;
  r.id = std::move(id);
  check_list(o.argv, o.argc, "argv");
  const bool shell = o.shell && *o.shell;
  if (o.argc > 0 && shell) throw invalid("shell", "given beside argv");
  if (o.argc == 0 && !shell) throw invalid("argv", "neither argv nor shell is given");
  for (uint32_t i = 0; i < o.argc; ++i) {
    if (!o.argv[i]) throw invalid(item("argv", i), "NULL");
    if (i == 0) {
      r.command = required_text(o.argv[0], "argv[0]");
    } else {
      r.args.emplace_back(o.argv[i]);
    }
  }
  if (shell) r.command = o.shell;
  r.mode = shell ? "shell" : "argv";
  r.env = map_of(o.env, o.env_count, "env");
  r.workdir = text_or_empty(o.cwd);
  r.user = text_or_empty(o.user);
  if (o.timeout_ms < -1) throw invalid("timeout_ms", "below -1");
  r.timeout_ms = o.timeout_ms;
  if (o.output_limit == STACYVM_UNLIMITED) {
    if (!streamed) throw invalid("output_limit", "output that is collected needs a limit");
  } else {
    r.output_limit = o.output_limit;
  }
  if (o.stdin_size > 0) {
    if (!o.stdin_data) throw invalid("stdin_data", "NULL, but stdin_size is not zero");
    if (streamed) throw invalid("stdin_data", "not for exec_start: use STACYVM_EXEC_STDIN and stacyvm_stream_write");
    r.stdin_data.assign(static_cast<const char*>(o.stdin_data), o.stdin_size);
  }
  r.merge = (o.flags & STACYVM_EXEC_MERGE) != 0;
  r.tty = (o.flags & STACYVM_EXEC_PTY) != 0;
  r.use_stdin = (o.flags & STACYVM_EXEC_STDIN) != 0 || r.tty;
  r.background = (o.flags & STACYVM_EXEC_BACKGROUND) != 0;
  if (r.tty && r.merge) throw invalid("flags", "MERGE together with PTY: a terminal has one output");
  if (r.background && (o.flags & STACYVM_EXEC_TEXT)) throw invalid("flags", "TEXT together with BACKGROUND: characters would move out of their place");
  r.rows = o.rows;
  r.cols = o.cols;
  r.ring_bytes = o.ring_bytes;
  return r;
}

}  // namespace svm::capi
