#include "options.hpp"

#include <cstring>

#include "bench.hpp"
#include "model/limits.hpp"
#include "utf8.hpp"

using namespace fakes;
using namespace svm::capi;

namespace {
template <class F>
std::string field_of(F&& f) {
  try {
    f();
  } catch (const Error& error) {
    CHECK(error.code() == Code::invalid);
    for (const auto& [key, value] : error.facts())
      if (key == "field") return value;
    return "(no field)";
  }
  return "(accepted)";
}

template <class T>
struct Padded {  // a struct of a later release: more at the tail
  T known;
  unsigned char later[64];
};

stacyvm_exec_options shell() {
  stacyvm_exec_options o;
  STACYVM_INIT(&o);
  o.shell = "x";
  return o;
}
}  // namespace

TEST_CASE_TEMPLATE("struct_size: first release, ours, larger; one less and one set byte beyond are refused", T, stacyvm_options,
                   stacyvm_session_options, stacyvm_spawn_options, stacyvm_exec_options) {
  Padded<T> p;
  stacyvm_struct_init(&p, sizeof p);
  const auto sized = [&](uint32_t size) {
    p.known.struct_size = size;
    return field_of([&] { read_options(&p.known, "o"); });
  };
  CHECK(sized(0) == "o.struct_size");
  CHECK(sized(4) == "o.struct_size");
  CHECK(sized(kFirstSize<T> - 1) == "o.struct_size");
  CHECK(sized(kFirstSize<T>) == "(accepted)");
  CHECK(sized(sizeof(T)) == "(accepted)");
  CHECK(sized(sizeof(T) + 1) == "(accepted)");
  CHECK(sized(sizeof p) == "(accepted)");
  CHECK(sized(UINT32_MAX) == "o.struct_size");
  p.later[63] = 1;
  CHECK(sized(sizeof(T) + 63) == "(accepted)");  // not told about the set byte
  CHECK(sized(sizeof p) == "o");
  p.later[63] = 0;
  p.later[0] = 1;
  CHECK(sized(sizeof(T)) == "(accepted)");
  CHECK(sized(sizeof(T) + 1) == "o");
  p.later[0] = 0;
  p.known.reserved0 = 1;
  CHECK(sized(sizeof(T)) == "o.reserved0");
}

TEST_CASE("the largest struct is bounded") {
  std::vector<uint64_t> memory((kMaxStructSize + 8) / 8);
  auto* o = reinterpret_cast<stacyvm_options*>(memory.data());
  o->struct_size = kMaxStructSize;
  CHECK(field_of([&] { read_options(o, "o"); }) == "(accepted)");
  o->struct_size = kMaxStructSize + 1;
  CHECK(field_of([&] { read_options(o, "o"); }) == "o.struct_size");
}

TEST_CASE_TEMPLATE("output structs: no less than the first release, and what lies beyond stays", T, stacyvm_exec_result, stacyvm_chunk, stacyvm_stat) {
  Padded<T> p;
  std::memset(&p, 0x5a, sizeof p);
  p.known.struct_size = sizeof p;
  CHECK(field_of([&] { check_result(&p.known, "out"); }) == "(accepted)");
  write_result(&p.known, T{});
  CHECK(p.known.struct_size == sizeof p);
  CHECK(p.later[0] == 0x5a);
  p.known.struct_size = kFirstSize<T> - 1;
  CHECK(field_of([&] { check_result(&p.known, "out"); }) == "out.struct_size");
  p.known.struct_size = kMaxStructSize + 1;
  CHECK(field_of([&] { check_result(&p.known, "out"); }) == "out.struct_size");
  CHECK(field_of([&] { check_result(static_cast<T*>(nullptr), "out"); }) == "out");
}

TEST_CASE("every field of a spawn reaches the request") {
  stacyvm_spawn_options o;
  STACYVM_INIT(&o);
  const stacyvm_pair labels[] = {{"l", "1"}}, env[] = {{"A", "b"}, {"C", ""}};
  const stacyvm_mount mounts[] = {{"/h", "/g", STACYVM_MOUNT_WRITABLE}, {"/i", "/j", 0}};
  o.image = "img";
  o.provider = "prov";
  o.profile = "build";
  o.user = "root";
  o.network = "none";
  o.owner = "own";
  o.memory_bytes = 1;
  o.disk_bytes = 2;
  o.milli_cpus = 3;
  o.pids = 4;
  o.ttl_ms = 5;
  o.labels = labels;
  o.label_count = 1;
  o.env = env;
  o.env_count = 2;
  o.mounts = mounts;
  o.mount_count = 2;
  o.flags = STACYVM_SPAWN_BEST_EFFORT | STACYVM_SPAWN_GET_OR_CREATE;
  o.name = "nam";
  o.idempotency_key = "key";
  o.template_name = "tem";
  o.timeout_ms = 6;
  const auto r = spawn_request(o);
  CHECK((r.image == "img" && r.provider == "prov" && r.profile == "build" && r.user == "root" && r.network == "none" && r.owner_id == "own"));
  CHECK((r.memory_bytes == 1 && r.disk_bytes == 2 && r.milli_cpus == 3 && r.pids == 4 && r.ttl_ms == 5 && r.best_effort));
  CHECK((r.get_or_create && r.name == "nam" && r.idempotency_key == "key" && r.template_name == "tem" && r.timeout_ms == 6));
  o.timeout_ms = -1;
  CHECK(spawn_request(o).timeout_ms == 0);
  CHECK((r.metadata == svm::model::StringMap{{"l", "1"}} && r.env == svm::model::StringMap{{"A", "b"}, {"C", ""}}));
  REQUIRE(r.mounts.size() == 2);
  CHECK((r.mounts[0].host == "/h" && r.mounts[0].guest == "/g" && r.mounts[0].writable && !r.mounts[1].writable));
}

TEST_CASE("a spawn's malformed fields are named") {
  const auto with = [](auto change) {
    stacyvm_spawn_options o;
    STACYVM_INIT(&o);
    change(o);
    return field_of([&] { spawn_request(o); });
  };
  static const stacyvm_pair twice[] = {{"k", "1"}, {"k", "2"}}, null[] = {{"k", nullptr}};
  static const stacyvm_mount no_guest[] = {{"/h", nullptr, 0}}, odd[] = {{"/h", "/g", 2}};
  CHECK(with([](auto&) {}) == "(accepted)");
  CHECK(with([](auto& o) { o.flags = 4; }) == "flags");
  CHECK(with([](auto& o) { o.timeout_ms = -2; }) == "timeout_ms");
  CHECK(with([](auto& o) { o.flags = 1ull << 63; }) == "flags");
  CHECK(with([](auto& o) { o.reserved1 = 1; }) == "reserved1");
  CHECK(with([](auto& o) { o.ttl_ms = -1; }) == "ttl_ms");
  CHECK(with([](auto& o) { o.env_count = 1; }) == "env");
  CHECK(with([](auto& o) { o.env = twice, o.env_count = 2; }) == "env[1]");
  CHECK(with([](auto& o) { o.labels = null, o.label_count = 1; }) == "labels[0]");
  CHECK(with([](auto& o) { o.labels = null, o.label_count = UINT32_MAX; }) == "labels");
  CHECK(with([](auto& o) { o.mounts = no_guest, o.mount_count = 1; }) == "mounts[0]");
  CHECK(with([](auto& o) { o.mounts = odd, o.mount_count = 1; }) == "flags");
}

TEST_CASE("every field of an exec reaches the request, in both forms") {
  const char* const argv[] = {"prog", "a", "b"};
  const stacyvm_pair env[] = {{"A", "b"}};
  stacyvm_exec_options o;
  STACYVM_INIT(&o);
  o.argv = argv;
  o.argc = 3;
  o.env = env;
  o.env_count = 1;
  o.cwd = "/w";
  o.user = "u";
  o.timeout_ms = 9;
  o.output_limit = 10;
  o.stdin_data = "in\0put";
  o.stdin_size = 6;
  o.flags = STACYVM_EXEC_MERGE;
  auto r = exec_request(o, "id", false);
  CHECK((r.id == "id" && r.command == "prog" && r.args == std::vector<std::string>{"a", "b"} && r.mode == "argv"));
  CHECK((r.workdir == "/w" && r.user == "u" && r.timeout_ms == 9 && r.output_limit == 10 && r.stdin_data == std::string("in\0put", 6)));
  CHECK((r.merge && !r.use_stdin && r.env.at("A") == "b"));
  o = shell();
  o.timeout_ms = -1;
  o.output_limit = STACYVM_UNLIMITED;
  o.flags = STACYVM_EXEC_STDIN | STACYVM_EXEC_TEXT;
  r = exec_request(o, "id", true);
  CHECK((!r.tty && !r.background && r.rows == 0 && r.cols == 0 && r.ring_bytes == 0));
  CHECK((r.command == "x" && r.mode == "shell" && r.args.empty() && r.timeout_ms == -1 && r.output_limit == 0 && r.use_stdin && !r.merge));
}

TEST_CASE("a terminal and the background reach the request; a terminal has input") {
  stacyvm_exec_options o = shell();
  o.flags = STACYVM_EXEC_PTY | STACYVM_EXEC_BACKGROUND;
  o.rows = 5;
  o.cols = 6;
  o.ring_bytes = 7777;
  const auto r = exec_request(o, "id", true);
  CHECK((r.tty && r.background && r.use_stdin && r.rows == 5 && r.cols == 6 && r.ring_bytes == 7777));
}

TEST_CASE("an exec's malformed fields are named") {
  const auto with = [](bool streamed, auto change) {
    stacyvm_exec_options o = shell();
    change(o);
    return field_of([&] { exec_request(o, "id", streamed); });
  };
  static const char* const argv[] = {"p", nullptr};
  static const char* const empty[] = {""};
  CHECK(with(false, [](auto&) {}) == "(accepted)");
  CHECK(with(false, [](auto& o) { o.shell = nullptr; }) == "argv");
  CHECK(with(false, [](auto& o) { o.shell = ""; }) == "argv");
  CHECK(with(false, [](auto& o) { o.argv = argv, o.argc = 1; }) == "shell");
  CHECK(with(false, [](auto& o) { o.shell = nullptr, o.argv = argv, o.argc = 2; }) == "argv[1]");
  CHECK(with(false, [](auto& o) { o.shell = nullptr, o.argv = empty, o.argc = 1; }) == "argv[0]");
  CHECK(with(false, [](auto& o) { o.shell = nullptr, o.argc = 1; }) == "argv");
  CHECK(with(false, [](auto& o) { o.argv = argv, o.argc = 4097; }) == "argv");
  CHECK(with(false, [](auto& o) { o.timeout_ms = -2; }) == "timeout_ms");
  CHECK(with(false, [](auto& o) { o.flags = STACYVM_EXEC_STDIN; }) == "flags");
  CHECK(with(false, [](auto& o) { o.flags = STACYVM_EXEC_TEXT; }) == "flags");
  CHECK(with(true, [](auto& o) { o.flags = 32; }) == "flags");
  CHECK(with(false, [](auto& o) { o.flags = STACYVM_EXEC_PTY; }) == "flags");
  CHECK(with(false, [](auto& o) { o.flags = STACYVM_EXEC_BACKGROUND; }) == "flags");
  CHECK(with(true, [](auto& o) { o.flags = STACYVM_EXEC_PTY | STACYVM_EXEC_MERGE; }) == "flags");
  CHECK(with(true, [](auto& o) { o.flags = STACYVM_EXEC_BACKGROUND | STACYVM_EXEC_TEXT; }) == "flags");
  CHECK(with(false, [](auto& o) { o.output_limit = STACYVM_UNLIMITED; }) == "output_limit");
  CHECK(with(false, [](auto& o) { o.stdin_size = 1; }) == "stdin_data");
  CHECK(with(true, [](auto& o) { o.stdin_data = "x", o.stdin_size = 1; }) == "stdin_data");
}

TEST_CASE("text for the audit log: 256 bytes, not one more") {
  const std::string most(256, 'x'), more(257, 'x');
  stacyvm_session_options o;
  STACYVM_INIT(&o);
  o.source = most.c_str();
  o.request_id = most.c_str();
  o.actor = most.c_str();
  const auto identity = session_caller(o, false).identity;
  CHECK((identity.source == most && identity.request_id == most && identity.actor == most && identity.local));
  for (const char** text : {&o.source, &o.request_id, &o.actor}) {
    *text = more.c_str();
    CHECK(field_of([&] { session_caller(o, false).identity; }) == (text == &o.source ? "source" : text == &o.request_id ? "request_id" : "actor"));
    *text = nullptr;
  }
}

TEST_CASE("a session's actor: the application, a caller of its, or who it says; never another's name") {
  const auto actor = [](const char* name, uint64_t flags) {
    stacyvm_session_options o;
    STACYVM_INIT(&o);
    o.actor = name;
    o.flags = flags;
    std::string got;
    const std::string field = field_of([&] { got = session_caller(o, false).identity.actor; });
    return field == "(accepted)" ? got : "field " + field;
  };
  CHECK(actor(nullptr, 0) == "local");
  CHECK(actor("", 0) == "local");
  CHECK(actor("local", 0) == "local");
  CHECK(actor(nullptr, STACYVM_SESSION_REMOTE) == "remote");
  CHECK(actor("key 7", STACYVM_SESSION_REMOTE) == "key 7");
  CHECK(actor("local", STACYVM_SESSION_REMOTE) == "field actor");
  CHECK(actor("system", 0) == "field actor");
  CHECK(actor("system", STACYVM_SESSION_REMOTE) == "field actor");
  CHECK(actor("two\nlines", 0) == "field actor");
  CHECK(actor("\xff", 0) == "field actor");
  CHECK(actor(nullptr, 2) == "field flags");
}

TEST_CASE("a session's owner: trimmed, at most 128 bytes, a label; the error names the field and the limit") {
  const auto owner = [](const std::string& name) {
    stacyvm_session_options o;
    STACYVM_INIT(&o);
    o.owner = name.c_str();
    std::string got;
    const std::string field = field_of([&] { got = session_caller(o, false).identity.owner; });
    return field == "(accepted)" ? got : "field " + field;
  };
  CHECK(owner("").empty());
  CHECK(owner(" \t ").empty());
  CHECK(owner("  someone\n") == "someone");
  CHECK(owner(std::string(128, 'o')) == std::string(128, 'o'));
  CHECK(owner(" " + std::string(128, 'o') + " ") == std::string(128, 'o'));
  for (const std::string& wrong : {std::string(129, 'o'), std::string("a b"), std::string("a/b"), std::string("a\\b"), std::string("a\tb"), std::string("a\x7f"), std::string("\xff")})
    CHECK(owner(wrong) == "field owner");
  stacyvm_session_options o;
  STACYVM_INIT(&o);
  const std::string more(129, 'o');
  o.owner = more.c_str();
  try {
    session_caller(o, false).identity;
  } catch (const Error& error) {
    CHECK(details_json(error.facts()) == R"({"field":"owner","limit":128})");
    CHECK(error.message().starts_with("owner: "));
    CHECK(error.message().find("owner_id") == std::string::npos);
  }
}

TEST_CASE("settings: JSON of at most a mebibyte, whose faults name their place") {
  stacyvm_options o;
  STACYVM_INIT(&o);
  const auto field = [&](const std::string& json) {
    o.settings = json.c_str();
    return field_of([&] { settings_of(o); });
  };
  CHECK(field("") == "(accepted)");
  CHECK(field("{}") == "(accepted)");
  const std::string five = R"({"defaults":{"ttl":"5m"}})";
  CHECK(field(five) == "(accepted)");
  CHECK(settings_of(o).defaults.ttl_ms == 300'000);
  CHECK(field(R"({"defaults":{"ttl":"25h"}})") == "defaults.ttl");
  CHECK(field(R"({"defaults":{"foo":1}})") == "defaults.foo");
  CHECK(field("[]") == "body");
  const std::string most = "{" + std::string(model::kMaxSettingsBytes - 2, ' ') + "}";
  CHECK(field(most) == "(accepted)");
  CHECK(field(most + " ") == "settings");
  o.settings = nullptr;
  CHECK(field_of([&] { settings_of(o); }) == "(accepted)");
}

TEST_CASE("errors: the HTTP status of each code") {
  const std::pair<Code, int> table[] = {{Code::invalid, 400}, {Code::unauthorized, 401}, {Code::forbidden, 403}, {Code::not_found, 404}, {Code::timeout, 408},
    {Code::conflict, 409}, {Code::closed, 410}, {Code::unsupported, 422}, {Code::file_not_found, 422}, {Code::limit, 429}, {Code::cancelled, 499},
    {Code::unavailable, 503}, {Code::io, 500}, {Code::forked, 500}, {Code::internal, 500}};
  for (const auto& [code, status] : table) {
    stacyvm_error* e = make_error(Error(code, "x"));
    CHECK_MESSAGE(stacyvm_error_http_status(e) == status, stacyvm_error_name(e));
    stacyvm_error_free(e);
  }
  CHECK(stacyvm_error_http_status(nullptr) == 200);
  CHECK(stacyvm_error_http_status(out_of_memory_error()) == 429);
}

TEST_CASE("details: numbers where they are numbers, text where they look like them, always JSON") {
  CHECK(details_json({}) == "{}");
  CHECK(details_json({{"errno", "28"}, {"limit", "0"}, {"request_id", "123"}}) == R"({"errno":28,"limit":0,"request_id":"123"})");
  CHECK(details_json({{"limit", "012"}}) == R"({"limit":"012"})");
  CHECK(details_json({{"limit", "-1"}}) == R"({"limit":"-1"})");
  CHECK(details_json({{"limit", "999999999999999"}}) == R"({"limit":999999999999999})");
  CHECK(details_json({{"limit", "1000000000000000"}}) == R"({"limit":"1000000000000000"})");
  CHECK(details_json({{"step", "a\"\\\n\xff"}}).find("\\\"\\\\\\n") != std::string::npos);
}

TEST_CASE("an error is one line of UTF-8") {
  stacyvm_error* e = make_error(Error(Code::io, std::string("a\nb\0c\xff", 6)));
  CHECK(std::string(stacyvm_error_message(e)) == "a b c\xef\xbf\xbd");
  CHECK(stacyvm_error_code(e) == STACYVM_E_IO);
  stacyvm_error_free(e);
  e = out_of_memory_error();
  CHECK((stacyvm_error_code(e) == STACYVM_E_LIMIT && std::string(stacyvm_error_name(e)) == "RESOURCE_LIMIT"));
  stacyvm_error_free(e);
  stacyvm_error_free(e);
}

TEST_CASE("no exception crosses, of whatever type") {
  stacyvm_error* e = nullptr;
  CHECK(guard(&e, []() -> int32_t { throw std::bad_alloc(); }) == STACYVM_E_LIMIT);
  CHECK(std::string(stacyvm_error_message(e)) == "out of memory");
  stacyvm_error_free(e);
  CHECK(guard(&e, []() -> int32_t { throw std::out_of_range("at"); }) == STACYVM_E_INTERNAL);
  CHECK(std::string(stacyvm_error_message(e)) == "at");
  stacyvm_error_free(e);
  CHECK(guard(&e, []() -> int32_t { throw 7; }) == STACYVM_E_INTERNAL);
  CHECK(std::string(stacyvm_error_name(e)) == "INTERNAL_ERROR");
  stacyvm_error_free(e);
  CHECK(guard(nullptr, []() -> int32_t { throw 7; }) == STACYVM_E_INTERNAL);
  e = reinterpret_cast<stacyvm_error*>(&e);
  stacyvm_error* const before = e;
  CHECK(guard(&e, []() -> int32_t { return STACYVM_E_AGAIN; }) == STACYVM_E_AGAIN);
  CHECK(e == before);
}

TEST_CASE("utf8_boundary never cuts a character and never waits for what cannot become one") {
  CHECK(utf8_boundary("") == 0);
  CHECK(utf8_boundary("abc") == 3);
  for (const std::string whole : {"\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xed\x9f\xbf", "\xf4\x8f\xbf\xbf"}) {
    for (size_t cut = 1; cut < whole.size(); ++cut) {
      CHECK(utf8_boundary("ab" + whole.substr(0, cut)) == 2);
      CHECK(utf8_boundary(whole.substr(0, cut)) == 0);
      CHECK(utf8_boundary(whole + whole.substr(0, cut)) == whole.size());
    }
    CHECK(utf8_boundary(whole) == whole.size());
    CHECK(utf8_boundary(whole + "x") == whole.size() + 1);
  }
  // Never valid: a lone continuation, overlong forms, surrogates, beyond U+10FFFF, a lead followed by ASCII.
  for (const std::string bad : {"\x80", "\xbf\xbf\xbf\xbf", "\xc0", "\xc1", "\xe0\x80", "\xe0\x9f", "\xed\xa0", "\xf0\x8f", "\xf4\x90", "\xf5", "\xff",
                                "\xe2\x41", "\xf0\x9f\x41"})
    CHECK_MESSAGE(utf8_boundary("a" + bad) == 1 + bad.size(), bad);
}
