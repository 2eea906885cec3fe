// Every function with NULL, with a handle of another type, and with values out of range: an answer, never a crash, outputs untouched.
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "bench.hpp"

using namespace fakes;

namespace {

template <class T>
T* other_type(void* handle) {
  return static_cast<T*>(handle);
}

/// One function, called with the given handle (NULL or of another type) and otherwise good arguments.
using Call = int32_t (*)(void* handle, stacyvm_error** err);

stacyvm_exec_options& exec_options() {
  static stacyvm_exec_options o;
  STACYVM_INIT(&o);
  o.shell = "x";
  return o;
}
template <class T>
T* out_struct() {
  static T value;
  STACYVM_INIT(&value);
  return &value;
}

// Outputs that must stay as they are.
char* g_text = nullptr;
void* g_data = nullptr;
uint64_t g_size = 0;
uint32_t g_count = 0;
stacyvm_instance* g_instance = nullptr;
stacyvm_session* g_session = nullptr;
stacyvm_sandbox* g_sandbox = nullptr;
stacyvm_stream* g_stream = nullptr;
stacyvm_op* g_op = nullptr;
stacyvm_queue* g_queue = nullptr;
stacyvm_ready g_ready;
char g_buffer[8];

const std::map<std::string, Call> kWithHandle = {
    {"stacyvm_shutdown", [](void* h, stacyvm_error** e) { return stacyvm_shutdown(other_type<stacyvm_instance>(h), 0, e); }},
    {"stacyvm_session_open", [](void* h, stacyvm_error** e) { return stacyvm_session_open(other_type<stacyvm_instance>(h), nullptr, &g_session, e); }},
    {"stacyvm_session_open_begin",
     [](void* h, stacyvm_error** e) { return stacyvm_session_open_begin(other_type<stacyvm_instance>(h), nullptr, &g_op, e); }},
    {"stacyvm_session_check", [](void* h, stacyvm_error** e) { return stacyvm_session_check(other_type<stacyvm_session>(h), &g_text, e); }},
    {"stacyvm_call",
     [](void* h, stacyvm_error** e) { return stacyvm_call(other_type<stacyvm_session>(h), "sandbox.list", nullptr, 0, nullptr, 0, &g_text, e); }},
    {"stacyvm_call_begin",
     [](void* h, stacyvm_error** e) { return stacyvm_call_begin(other_type<stacyvm_session>(h), "sandbox.list", nullptr, 0, nullptr, 0, &g_op, e); }},
    {"stacyvm_call_stream",
     [](void* h, stacyvm_error** e) { return stacyvm_call_stream(other_type<stacyvm_session>(h), "file.read", nullptr, 0, nullptr, 0, &g_stream, e); }},
    {"stacyvm_op_wait", [](void* h, stacyvm_error** e) { return stacyvm_op_wait(other_type<stacyvm_op>(h), -1, e); }},
    {"stacyvm_op_json", [](void* h, stacyvm_error** e) { return stacyvm_op_json(other_type<stacyvm_op>(h), &g_text, e); }},
    {"stacyvm_op_sandbox", [](void* h, stacyvm_error** e) { return stacyvm_op_sandbox(other_type<stacyvm_op>(h), &g_sandbox, e); }},
    {"stacyvm_op_instance", [](void* h, stacyvm_error** e) { return stacyvm_op_instance(other_type<stacyvm_op>(h), &g_instance, e); }},
    {"stacyvm_op_session", [](void* h, stacyvm_error** e) { return stacyvm_op_session(other_type<stacyvm_op>(h), &g_session, e); }},
    {"stacyvm_spawn", [](void* h, stacyvm_error** e) { return stacyvm_spawn(other_type<stacyvm_session>(h), nullptr, &g_sandbox, e); }},
    {"stacyvm_spawn_begin", [](void* h, stacyvm_error** e) { return stacyvm_spawn_begin(other_type<stacyvm_session>(h), nullptr, &g_op, e); }},
    {"stacyvm_sandbox_get", [](void* h, stacyvm_error** e) { return stacyvm_sandbox_get(other_type<stacyvm_session>(h), "x", &g_sandbox, e); }},
    {"stacyvm_sandbox_info", [](void* h, stacyvm_error** e) { return stacyvm_sandbox_info(other_type<stacyvm_sandbox>(h), &g_text, e); }},
    {"stacyvm_sandbox_extend", [](void* h, stacyvm_error** e) { return stacyvm_sandbox_extend(other_type<stacyvm_sandbox>(h), 1, e); }},
    {"stacyvm_sandbox_destroy", [](void* h, stacyvm_error** e) { return stacyvm_sandbox_destroy(other_type<stacyvm_sandbox>(h), e); }},
    {"stacyvm_sandbox_destroy_begin",
     [](void* h, stacyvm_error** e) { return stacyvm_sandbox_destroy_begin(other_type<stacyvm_sandbox>(h), &g_op, e); }},
    {"stacyvm_exec",
     [](void* h, stacyvm_error** e) { return stacyvm_exec(other_type<stacyvm_sandbox>(h), &exec_options(), out_struct<stacyvm_exec_result>(), e); }},
    {"stacyvm_exec_start",
     [](void* h, stacyvm_error** e) { return stacyvm_exec_start(other_type<stacyvm_sandbox>(h), &exec_options(), &g_stream, e); }},
    {"stacyvm_exec_attach", [](void* h, stacyvm_error** e) { return stacyvm_exec_attach(other_type<stacyvm_sandbox>(h), "x", 0, &g_stream, e); }},
    {"stacyvm_exec_resize", [](void* h, stacyvm_error** e) { return stacyvm_exec_resize(other_type<stacyvm_stream>(h), 1, 1, e); }},
    {"stacyvm_console", [](void* h, stacyvm_error** e) { return stacyvm_console(other_type<stacyvm_sandbox>(h), 0, &g_stream, e); }},
    {"stacyvm_exec_signal", [](void* h, stacyvm_error** e) { return stacyvm_exec_signal(other_type<stacyvm_stream>(h), 9, 0, e); }},
    {"stacyvm_exec_result_of",
     [](void* h, stacyvm_error** e) { return stacyvm_exec_result_of(other_type<stacyvm_stream>(h), out_struct<stacyvm_exec_result>(), e); }},
    {"stacyvm_file_read",
     [](void* h, stacyvm_error** e) { return stacyvm_file_read(other_type<stacyvm_sandbox>(h), "/x", 0, &g_data, &g_size, e); }},
    {"stacyvm_file_write", [](void* h, stacyvm_error** e) { return stacyvm_file_write(other_type<stacyvm_sandbox>(h), "/x", "", 0, 0, 0, e); }},
    {"stacyvm_file_stat",
     [](void* h, stacyvm_error** e) { return stacyvm_file_stat(other_type<stacyvm_sandbox>(h), "/x", 0, out_struct<stacyvm_stat>(), e); }},
    {"stacyvm_file_reader",
     [](void* h, stacyvm_error** e) { return stacyvm_file_reader(other_type<stacyvm_sandbox>(h), "/x", 0, 0, &g_stream, e); }},
    {"stacyvm_file_get", [](void* h, stacyvm_error** e) { return stacyvm_file_get(other_type<stacyvm_sandbox>(h), "/x", 0, 0, &g_op, e); }},
    {"stacyvm_file_put", [](void* h, stacyvm_error** e) { return stacyvm_file_put(other_type<stacyvm_sandbox>(h), "/x", 0, 0, &g_op, e); }},
    {"stacyvm_file_watch", [](void* h, stacyvm_error** e) { return stacyvm_file_watch(other_type<stacyvm_sandbox>(h), "/x", 0, &g_stream, e); }},
    {"stacyvm_port_dial", [](void* h, stacyvm_error** e) { return stacyvm_port_dial(other_type<stacyvm_sandbox>(h), 80, 0, &g_stream, e); }},
    {"stacyvm_socket_dial", [](void* h, stacyvm_error** e) { return stacyvm_socket_dial(other_type<stacyvm_sandbox>(h), "/x", 0, &g_stream, e); }},
    {"stacyvm_file_writer",
     [](void* h, stacyvm_error** e) { return stacyvm_file_writer(other_type<stacyvm_sandbox>(h), "/x", 0, 0, &g_stream, e); }},
    {"stacyvm_file_upload",
     [](void* h, stacyvm_error** e) { return stacyvm_file_upload(other_type<stacyvm_sandbox>(h), "/x", "u", 0, 0, 0, &g_stream, e); }},
    {"stacyvm_stream_next",
     [](void* h, stacyvm_error** e) { return stacyvm_stream_next(other_type<stacyvm_stream>(h), -1, out_struct<stacyvm_chunk>(), e); }},
    {"stacyvm_stream_read",
     [](void* h, stacyvm_error** e) { return stacyvm_stream_read(other_type<stacyvm_stream>(h), g_buffer, 1, -1, &g_size, e); }},
    {"stacyvm_stream_write", [](void* h, stacyvm_error** e) { return stacyvm_stream_write(other_type<stacyvm_stream>(h), "x", 1, -1, &g_size, e); }},
    {"stacyvm_stream_finish", [](void* h, stacyvm_error** e) { return stacyvm_stream_finish(other_type<stacyvm_stream>(h), -1, e); }},
    {"stacyvm_events", [](void* h, stacyvm_error** e) { return stacyvm_events(other_type<stacyvm_session>(h), nullptr, 0, &g_stream, e); }},
    {"stacyvm_queue_new", [](void* h, stacyvm_error** e) { return stacyvm_queue_new(other_type<stacyvm_instance>(h), &g_queue, e); }},
    {"stacyvm_queue_add_stream",
     [](void* h, stacyvm_error** e) { return stacyvm_queue_add_stream(other_type<stacyvm_queue>(h), nullptr, 1, 0, e); }},
    {"stacyvm_queue_add_op", [](void* h, stacyvm_error** e) { return stacyvm_queue_add_op(other_type<stacyvm_queue>(h), nullptr, 0, e); }},
    {"stacyvm_queue_wait",
     [](void* h, stacyvm_error** e) { return stacyvm_queue_wait(other_type<stacyvm_queue>(h), -1, &g_ready, 1, &g_count, e); }},
};

// These answer something harmless; the test below says what.
const std::set<std::string> kHarmless = {
    "stacyvm_version",        "stacyvm_version_string", "stacyvm_has_feature",   "stacyvm_struct_init",     "stacyvm_free",
    "stacyvm_host_report",    "stacyvm_error_code",     "stacyvm_error_name",    "stacyvm_error_message",   "stacyvm_error_details",
    "stacyvm_error_free",     "stacyvm_open",           "stacyvm_close",         "stacyvm_session_close",   "stacyvm_operations",
    "stacyvm_open_begin",
    "stacyvm_op_fd",          "stacyvm_op_cancel",      "stacyvm_op_close",      "stacyvm_sandbox_id",      "stacyvm_sandbox_close",
    "stacyvm_stream_fd",      "stacyvm_stream_kind",    "stacyvm_stream_cancel", "stacyvm_stream_close",    "stacyvm_queue_fd",
    "stacyvm_queue_close",    "stacyvm_exec_result_clear", "stacyvm_host_report_text", "stacyvm_exec_id",
    "stacyvm_error_http_status",
};

/// Expects INVALID, with an error that names `field`.
void expect_invalid(int32_t code, stacyvm_error* error, const std::string& field) {
  CHECK(code == STACYVM_E_INVALID);
  REQUIRE(error != nullptr);
  CHECK(stacyvm_error_code(error) == code);
  CHECK(std::string(stacyvm_error_details(error)) == "{\"field\":\"" + field + "\"}");
  stacyvm_error_free(error);
}

#define INVALID(field, call)         \
  do {                               \
    stacyvm_error* e = nullptr;      \
    const int32_t code = (call);     \
    expect_invalid(code, e, field);  \
  } while (false)

}  // namespace

TEST_CASE("the tables of this file name every function of the library") {
  std::set<std::string> listed, here = kHarmless;
  for (const auto& [name, call] : kWithHandle) CHECK(here.insert(name).second);
  std::ifstream file(SVM_SYMBOLS);
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string name;
    if (words >> name && name[0] != '#') listed.insert(name);
  }
  CHECK(here == listed);
}

TEST_CASE("NULL and a handle of another type are INVALID everywhere, with and without an error pointer") {
  Bench b;
  for (const auto& [name, call] : kWithHandle) {
    CAPTURE(name);
    CHECK(call(nullptr, nullptr) == STACYVM_E_INVALID);
    stacyvm_error* e = nullptr;
    CHECK(call(nullptr, &e) == STACYVM_E_INVALID);
    CHECK(std::string(stacyvm_error_message(e)).ends_with(": NULL"));
    stacyvm_error_free(e);
    const bool takes_session = name.starts_with("stacyvm_call") || name.starts_with("stacyvm_spawn") || name == "stacyvm_sandbox_get" ||
                               name == "stacyvm_events" || name == "stacyvm_session_check";
    void* wrong = takes_session ? static_cast<void*>(b.vm) : static_cast<void*>(b.session);
    e = nullptr;
    CHECK(call(wrong, &e) == STACYVM_E_INVALID);
    CHECK(std::string(stacyvm_error_message(e)).ends_with(": not a handle of this type"));
    stacyvm_error_free(e);
  }
  CHECK((!g_text && !g_data && !g_size && !g_count && !g_instance && !g_session && !g_sandbox && !g_stream && !g_op && !g_queue));
}

TEST_CASE("what cannot fail answers something harmless") {
  Bench b;
  void* wrong = b.session;
  CHECK(stacyvm_has_feature(nullptr) == 0);
  CHECK(stacyvm_has_feature("") == 0);
  CHECK(stacyvm_has_feature("native") == 1);
  CHECK(stacyvm_has_feature("nativ") == 0);
  stacyvm_struct_init(nullptr, 100);
  unsigned char bytes[5] = {9, 9, 9, 9, 9};
  stacyvm_struct_init(bytes, 3);
  CHECK(bytes[0] == 9);
  stacyvm_struct_init(bytes, 4);
  CHECK((bytes[0] == 4 && bytes[1] == 0 && bytes[4] == 9));
  stacyvm_free(nullptr);
  CHECK(stacyvm_error_code(nullptr) == STACYVM_OK);
  CHECK(std::string(stacyvm_error_name(nullptr)) == "OK");
  CHECK(std::string(stacyvm_error_message(nullptr)).empty());
  CHECK(std::string(stacyvm_error_details(nullptr)) == "{}");
  stacyvm_error_free(nullptr);
  stacyvm_exec_result_clear(nullptr);
  stacyvm_exec_result garbage;
  garbage.struct_size = 4;  // not ours: nothing may be freed
  stacyvm_exec_result_clear(&garbage);
  CHECK(stacyvm_op_fd(nullptr) == -1);
  CHECK(stacyvm_op_fd(other_type<stacyvm_op>(wrong)) == -1);
  CHECK(stacyvm_queue_fd(nullptr) == -1);
  CHECK(stacyvm_queue_fd(other_type<stacyvm_queue>(wrong)) == -1);
  CHECK(stacyvm_stream_fd(nullptr, 0) == -1);
  CHECK(stacyvm_stream_fd(other_type<stacyvm_stream>(wrong), 0) == -1);
  CHECK(stacyvm_stream_kind(nullptr) == 0);
  CHECK(stacyvm_stream_kind(other_type<stacyvm_stream>(wrong)) == 0);
  CHECK(stacyvm_sandbox_id(nullptr) == nullptr);
  CHECK(stacyvm_exec_id(other_type<stacyvm_stream>(wrong)) == nullptr);
  CHECK(stacyvm_sandbox_id(other_type<stacyvm_sandbox>(wrong)) == nullptr);
  for (void* handle : {static_cast<void*>(nullptr), wrong}) {  // a close of the wrong type closes nothing
    stacyvm_op_cancel(other_type<stacyvm_op>(handle));
    stacyvm_stream_cancel(other_type<stacyvm_stream>(handle));
    stacyvm_op_close(other_type<stacyvm_op>(handle));
    stacyvm_stream_close(other_type<stacyvm_stream>(handle));
    stacyvm_queue_close(other_type<stacyvm_queue>(handle));
    stacyvm_sandbox_close(other_type<stacyvm_sandbox>(handle));
    stacyvm_close(other_type<stacyvm_instance>(handle));
  }
  stacyvm_session_close(nullptr);
  stacyvm_session_close(other_type<stacyvm_session>(b.vm));
  CHECK(stacyvm_sandbox_extend(b.sandbox, 1000, nullptr) == STACYVM_OK);
}

TEST_CASE("missing outputs and arguments out of range are named") {
  Bench b;
  stacyvm_stream* st = b.exec(STACYVM_EXEC_STDIN | STACYVM_EXEC_MERGE);
  stacyvm_queue* q = nullptr;
  MUST(stacyvm_queue_new(b.vm, &q, err));
  stacyvm_op* op = nullptr;
  MUST(stacyvm_spawn_begin(b.session, nullptr, &op, err));
  MUST(stacyvm_op_wait(op, -1, err));
  INVALID("json_out", stacyvm_host_report(nullptr, &e));
  INVALID("text_out", stacyvm_host_report_text(nullptr, &e));
  INVALID("json_out", stacyvm_operations(nullptr, &e));
  INVALID("out", stacyvm_open(nullptr, nullptr, &e));
  INVALID("out", stacyvm_open_begin(nullptr, nullptr, &e));
  INVALID("timeout_ms", stacyvm_shutdown(b.vm, -2, &e));
  INVALID("out", stacyvm_session_open(b.vm, nullptr, nullptr, &e));
  INVALID("out", stacyvm_session_open_begin(b.vm, nullptr, nullptr, &e));
  INVALID("who_json", stacyvm_session_check(b.session, nullptr, &e));
  INVALID("out", stacyvm_op_instance(op, nullptr, &e));
  INVALID("op", stacyvm_op_instance(op, &g_instance, &e));
  INVALID("out", stacyvm_op_session(op, nullptr, &e));
  INVALID("op", stacyvm_op_session(op, &g_session, &e));
  INVALID("json_out", stacyvm_call(b.session, "x", nullptr, 0, nullptr, 0, nullptr, &e));
  INVALID("op", stacyvm_call(b.session, nullptr, nullptr, 0, nullptr, 0, &g_text, &e));
  INVALID("op", stacyvm_call(b.session, "", nullptr, 0, nullptr, 0, &g_text, &e));
  INVALID("pairs", stacyvm_call(b.session, "x", nullptr, 1, nullptr, 0, &g_text, &e));
  INVALID("body", stacyvm_call(b.session, "x", nullptr, 0, nullptr, 1, &g_text, &e));
  const std::vector<stacyvm_pair> pairs(1025, {"k", "v"});
  INVALID("pair_count", stacyvm_call(b.session, "x", pairs.data(), 1025, nullptr, 0, &g_text, &e));
  CHECK(stacyvm_call(b.session, "x", pairs.data(), 1024, nullptr, 0, &g_text, nullptr) == STACYVM_E_NOT_FOUND);
  const std::string body((64u << 20) + 1, ' ');
  CHECK(stacyvm_call(b.session, "x", nullptr, 0, body.data(), body.size() - 1, &g_text, nullptr) == STACYVM_E_NOT_FOUND);
  CHECK(stacyvm_call(b.session, "x", nullptr, 0, body.data(), body.size(), &g_text, nullptr) == STACYVM_E_INVALID);
  CHECK(stacyvm_file_write(b.sandbox, "/x", body.data(), body.size(), 0, 0, nullptr) == STACYVM_E_INVALID);
  const stacyvm_pair half = {"k", nullptr};
  INVALID("pairs[0]", stacyvm_call(b.session, "x", &half, 1, nullptr, 0, &g_text, &e));
  INVALID("out", stacyvm_call_begin(b.session, "x", nullptr, 0, nullptr, 0, nullptr, &e));
  INVALID("out", stacyvm_call_stream(b.session, "x", nullptr, 0, nullptr, 0, nullptr, &e));
  INVALID("timeout_ms", stacyvm_op_wait(op, -2, &e));
  INVALID("json_out", stacyvm_op_json(op, nullptr, &e));
  INVALID("out", stacyvm_op_sandbox(op, nullptr, &e));
  INVALID("out", stacyvm_spawn(b.session, nullptr, nullptr, &e));
  INVALID("out", stacyvm_spawn_begin(b.session, nullptr, nullptr, &e));
  INVALID("out", stacyvm_sandbox_get(b.session, "x", nullptr, &e));
  INVALID("id_or_name", stacyvm_sandbox_get(b.session, nullptr, &g_sandbox, &e));
  INVALID("json_out", stacyvm_sandbox_info(b.sandbox, nullptr, &e));
  INVALID("out", stacyvm_sandbox_destroy_begin(b.sandbox, nullptr, &e));
  INVALID("options", stacyvm_exec(b.sandbox, nullptr, out_struct<stacyvm_exec_result>(), &e));
  INVALID("out", stacyvm_exec(b.sandbox, &exec_options(), nullptr, &e));
  stacyvm_exec_result used;
  STACYVM_INIT(&used);
  used.owner = &used;
  INVALID("out.owner", stacyvm_exec(b.sandbox, &exec_options(), &used, &e));
  INVALID("out.owner", stacyvm_exec_result_of(st, &used, &e));
  INVALID("options", stacyvm_exec_start(b.sandbox, nullptr, &g_stream, &e));
  INVALID("out", stacyvm_exec_start(b.sandbox, &exec_options(), nullptr, &e));
  INVALID("out", stacyvm_exec_result_of(st, nullptr, &e));
  INVALID("path", stacyvm_file_read(b.sandbox, nullptr, 0, &g_data, &g_size, &e));
  INVALID("path", stacyvm_file_read(b.sandbox, "", 0, &g_data, &g_size, &e));
  INVALID("data_out", stacyvm_file_read(b.sandbox, "/x", 0, nullptr, &g_size, &e));
  INVALID("size_out", stacyvm_file_read(b.sandbox, "/x", 0, &g_data, nullptr, &e));
  INVALID("path", stacyvm_file_write(b.sandbox, nullptr, "", 0, 0, 0, &e));
  INVALID("data", stacyvm_file_write(b.sandbox, "/x", nullptr, 1, 0, 0, &e));
  INVALID("mode", stacyvm_file_write(b.sandbox, "/x", "", 0, 010000, 0, &e));
  INVALID("flags", stacyvm_file_write(b.sandbox, "/x", "", 0, 0, STACYVM_FILE_NO_FOLLOW, &e));
  INVALID("flags", stacyvm_file_stat(b.sandbox, "/x", STACYVM_FILE_APPEND, out_struct<stacyvm_stat>(), &e));
  INVALID("out", stacyvm_file_stat(b.sandbox, "/x", 0, nullptr, &e));
  INVALID("out", stacyvm_file_reader(b.sandbox, "/x", 0, 0, nullptr, &e));
  INVALID("out", stacyvm_file_get(b.sandbox, "/x", 0, 0, nullptr, &e));
  INVALID("path", stacyvm_file_get(b.sandbox, "", 0, 0, &g_op, &e));
  INVALID("flags", stacyvm_file_get(b.sandbox, "/x", STACYVM_FILE_EXCLUSIVE, 0, &g_op, &e));
  INVALID("to_fd", stacyvm_file_get(b.sandbox, "/x", 0, -1, &g_op, &e));
  INVALID("out", stacyvm_file_put(b.sandbox, "/x", 0, 0, nullptr, &e));
  INVALID("flags", stacyvm_file_put(b.sandbox, "/x", STACYVM_FILE_TAR | STACYVM_FILE_EXCLUSIVE, 0, &g_op, &e));
  INVALID("from_fd", stacyvm_file_put(b.sandbox, "/x", 0, -1, &g_op, &e));
  INVALID("out", stacyvm_file_watch(b.sandbox, "/x", 0, nullptr, &e));
  INVALID("flags", stacyvm_file_watch(b.sandbox, "/x", STACYVM_FILE_TAR, &g_stream, &e));
  INVALID("out", stacyvm_port_dial(b.sandbox, 80, 0, nullptr, &e));
  INVALID("port", stacyvm_port_dial(b.sandbox, 0, 0, &g_stream, &e));
  INVALID("flags", stacyvm_port_dial(b.sandbox, 80, 1, &g_stream, &e));
  INVALID("out", stacyvm_socket_dial(b.sandbox, "/x", 0, nullptr, &e));
  INVALID("path", stacyvm_socket_dial(b.sandbox, nullptr, 0, &g_stream, &e));
  INVALID("flags", stacyvm_socket_dial(b.sandbox, "/x", 1, &g_stream, &e));
  INVALID("out", stacyvm_file_writer(b.sandbox, "/x", 0, 0, nullptr, &e));
  INVALID("flags", stacyvm_file_writer(b.sandbox, "/x", 0, STACYVM_FILE_APPEND, &g_stream, &e));
  INVALID("timeout_ms", stacyvm_stream_next(st, -2, out_struct<stacyvm_chunk>(), &e));
  INVALID("out", stacyvm_stream_next(st, 0, nullptr, &e));
  stacyvm_chunk small;
  STACYVM_INIT(&small);
  small.struct_size = 47;
  INVALID("out.struct_size", stacyvm_stream_next(st, 0, &small, &e));
  INVALID("buf", stacyvm_stream_read(st, nullptr, 1, 0, &g_size, &e));
  INVALID("cap", stacyvm_stream_read(st, g_buffer, 0, 0, &g_size, &e));
  INVALID("n", stacyvm_stream_read(st, g_buffer, 1, 0, nullptr, &e));
  INVALID("data", stacyvm_stream_write(st, nullptr, 1, 0, &g_size, &e));
  INVALID("n", stacyvm_stream_write(st, "x", 1, 0, nullptr, &e));
  INVALID("timeout_ms", stacyvm_stream_finish(st, -3, &e));
  CHECK(stacyvm_stream_fd(st, 2) == -1);
  INVALID("out", stacyvm_queue_new(b.vm, nullptr, &e));
  INVALID("out", stacyvm_file_upload(b.sandbox, "/x", "u", 0, 0, 0, nullptr, &e));
  INVALID("path", stacyvm_file_upload(b.sandbox, nullptr, "u", 0, 0, 0, &g_stream, &e));
  INVALID("upload", stacyvm_file_upload(b.sandbox, "/x", nullptr, 0, 0, 0, &g_stream, &e));
  CHECK(stacyvm_file_upload(b.sandbox, "/x", std::string(65, 'u').c_str(), 0, 0, 0, &g_stream, nullptr) == STACYVM_E_INVALID);
  INVALID("offset", stacyvm_file_upload(b.sandbox, "/x", "u", 1, 0, STACYVM_FILE_RESTART, &g_stream, &e));
  INVALID("flags", stacyvm_file_upload(b.sandbox, "/x", "u", 0, 0, STACYVM_FILE_APPEND, &g_stream, &e));
  INVALID("st", stacyvm_queue_add_stream(q, nullptr, 1, 0, &e));
  INVALID("op", stacyvm_queue_add_op(q, nullptr, 0, &e));
  INVALID("out", stacyvm_queue_wait(q, 0, nullptr, 1, &g_count, &e));
  INVALID("cap", stacyvm_queue_wait(q, 0, &g_ready, 0, &g_count, &e));
  INVALID("n", stacyvm_queue_wait(q, 0, &g_ready, 1, nullptr, &e));
  INVALID("timeout_ms", stacyvm_queue_wait(q, INT64_MIN, &g_ready, 1, &g_count, &e));
  CHECK(stacyvm_stream_next(st, 0, out_struct<stacyvm_chunk>(), nullptr) == STACYVM_E_AGAIN);
  CHECK((!g_text && !g_data && !g_size && !g_count && !g_session && !g_sandbox && !g_stream && !g_op && !g_queue));
  stacyvm_queue_close(q);
  stacyvm_op_close(op);
  stacyvm_stream_close(st);
}

TEST_CASE("opening: what cannot be honoured is refused, and a scheme is not taken for a directory") {
  stacyvm_instance* vm = nullptr;
  stacyvm_op* op = nullptr;
  stacyvm_options o;
  STACYVM_INIT(&o);
  o.flags = 4;
  INVALID("flags", stacyvm_open(&o, &vm, &e));
  INVALID("flags", stacyvm_open_begin(&o, &op, &e));
  o.flags = 0;
  o.log_level = STACYVM_LOG_DEBUG + 1;
  INVALID("log_level", stacyvm_open(&o, &vm, &e));
  INVALID("log_level", stacyvm_open_begin(&o, &op, &e));
  o.log_level = 0;
  o.log_fd_plus1 = -1;
  INVALID("log_fd_plus1", stacyvm_open(&o, &vm, &e));
  o.log_fd_plus1 = 1'000'000;  // not open
  CHECK(stacyvm_open(&o, &vm, nullptr) == STACYVM_E_INVALID);
  o.log_fd_plus1 = 0;
  for (const char* location : {"ftp://h", "unix:///run/x", "a+b-c.1://"}) {
    o.state_dir = location;
    CHECK(stacyvm_open(&o, &vm, nullptr) == STACYVM_E_UNSUPPORTED);
    CHECK(stacyvm_open_begin(&o, &op, nullptr) == STACYVM_E_UNSUPPORTED);
  }
  CHECK((!vm && !op));
}
