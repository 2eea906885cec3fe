// The C ABI over real sandboxes.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <linux/sched.h>
#include <signal.h>
#include <stacyvm/stacyvm.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <thread>
#include <vector>

namespace {

/// Whether this host lets us make the namespaces that a sandbox is made of. Asked of the kernel, not of the library under test.
bool host_can() {
  static const bool can = [] {
    // clone itself and not fork and unshare: a sanitizer has a thread in every process, and those may not unshare.
    constexpr unsigned long kFlags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | SIGCHLD;
    const auto child = static_cast<pid_t>(syscall(SYS_clone, kFlags, nullptr, nullptr, nullptr, nullptr));
    if (child == 0) syscall(SYS_exit_group, 0);
    int status = child < 0 ? -1 : 0;
    if (child > 0) waitpid(child, &status, 0);
    if (status != 0) std::puts("SKIPPED: this host does not allow user, mount, pid and network namespaces");
    return status == 0;
  }();
  return can;
}
#define NEEDS_SANDBOXES \
  if (!host_can()) return

#define MUST(call)                                                                     \
  do {                                                                                 \
    stacyvm_error* must_error = nullptr;                                               \
    stacyvm_error** err = &must_error;                                                 \
    const int32_t must_code = (call);                                                  \
    const std::string must_text = must_error ? stacyvm_error_message(must_error) : ""; \
    stacyvm_error_free(must_error);                                                    \
    REQUIRE_MESSAGE(must_code == STACYVM_OK, must_text);                               \
  } while (false)

struct Live {
  stacyvm_instance* vm = nullptr;
  stacyvm_session* session = nullptr;
  stacyvm_sandbox* sandbox = nullptr;
  Live() {
    MUST(stacyvm_open(nullptr, &vm, err));
    MUST(stacyvm_session_open(vm, nullptr, &session, err));
    MUST(stacyvm_spawn(session, nullptr, &sandbox, err));
  }
  ~Live() {
    stacyvm_sandbox_close(sandbox);
    stacyvm_session_close(session);
    stacyvm_close(vm);
  }
  stacyvm_stream* start(const char* shell, uint64_t flags = 0) {
    stacyvm_exec_options o;
    STACYVM_INIT(&o);
    o.shell = shell;
    o.flags = flags;
    stacyvm_stream* stream = nullptr;
    MUST(stacyvm_exec_start(sandbox, &o, &stream, err));
    return stream;
  }
  std::string run(const char* shell) {
    stacyvm_exec_options o;
    STACYVM_INIT(&o);
    o.shell = shell;
    stacyvm_exec_result r;
    STACYVM_INIT(&r);
    MUST(stacyvm_exec(sandbox, &o, &r, err));
    std::string out(static_cast<const char*>(r.stdout_data), r.stdout_size);
    stacyvm_exec_result_clear(&r);
    return out;
  }
};

std::string drain(stacyvm_stream* stream, int32_t& code) {
  std::string all;
  stacyvm_chunk c;
  STACYVM_INIT(&c);
  while ((code = stacyvm_stream_next(stream, 30'000, &c, nullptr)) == STACYVM_OK)
    if (c.kind != STACYVM_CHUNK_EXIT) all.append(static_cast<const char*>(c.data), c.size);
  return all;
}

}  // namespace

TEST_CASE("a command's output, exit code, signal, input, environment and limits") {
  NEEDS_SANDBOXES;
  Live live;
  stacyvm_exec_options o;
  stacyvm_exec_result r;
  const auto run = [&] {
    STACYVM_INIT(&r);
    MUST(stacyvm_exec(live.sandbox, &o, &r, err));
  };
  STACYVM_INIT(&o);
  const stacyvm_pair env = {"WHO", "you"};
  o.env = &env;
  o.env_count = 1;
  o.stdin_data = "in";
  o.stdin_size = 2;
  o.shell = "cat; echo \" $WHO\"; echo bad >&2; exit 7";
  run();
  CHECK((r.exit_code == 7 && r.signal == 0 && r.reason == STACYVM_REASON_EXITED && r.wall_us > 0));
  CHECK(std::string(static_cast<const char*>(r.stdout_data)) == "in you\n");
  CHECK(std::string(static_cast<const char*>(r.stderr_data)) == "bad\n");
  stacyvm_exec_result_clear(&r);
  CHECK((r.owner == nullptr && r.stdout_data == nullptr && r.exit_code == 0 && r.struct_size == sizeof r));
  stacyvm_exec_result_clear(&r);
  o.stdin_size = 0;
  o.shell = "kill -9 $$";
  run();
  CHECK((r.exit_code == 137 && r.signal == SIGKILL && r.reason == STACYVM_REASON_SIGNALLED));
  stacyvm_exec_result_clear(&r);
  o.shell = "sleep 60";
  o.timeout_ms = 50;
  run();
  CHECK(r.reason == STACYVM_REASON_TIMEOUT);
  stacyvm_exec_result_clear(&r);
  o.timeout_ms = 0;
  o.shell = "yes";
  o.output_limit = 1000;
  run();
  CHECK((r.reason == STACYVM_REASON_OUTPUT_LIMIT && r.stdout_size <= 1000));
  stacyvm_exec_result_clear(&r);
  const char* const argv[] = {"/no/such/program"};
  STACYVM_INIT(&o);
  o.argv = argv;
  o.argc = 1;
  stacyvm_error* e = nullptr;
  CHECK(stacyvm_exec(live.sandbox, &o, &r, &e) == STACYVM_E_FILE_NOT_FOUND);
  CHECK(std::string(stacyvm_error_name(e)) == "FILE_NOT_FOUND");
  stacyvm_error_free(e);
  stacyvm_stream* st = nullptr;
  MUST(stacyvm_exec_start(live.sandbox, &o, &st, err));  // there the failure arrives on the stream
  int32_t code = 0;
  drain(st, code);
  CHECK(code == STACYVM_E_FILE_NOT_FOUND);
  stacyvm_stream_close(st);
}

TEST_CASE("a stream both ways, a signal, and text that is never cut") {
  NEEDS_SANDBOXES;
  Live live;
  int32_t code = 0;
  stacyvm_stream* st = live.start("cat", STACYVM_EXEC_STDIN);
  MUST(stacyvm_stream_finish(st, 0, err));
  CHECK(drain(st, code).empty());
  CHECK(code == STACYVM_E_END);
  stacyvm_stream_close(st);

  const std::string much(3 << 20, 'm');
  std::string back;
  st = live.start("cat", STACYVM_EXEC_STDIN);
  const int in = stacyvm_stream_fd(st, 1), out = stacyvm_stream_fd(st, 0);
  size_t sent = 0;
  bool ended = false;
  while (!ended) {  // more than both windows: only a loop that reads and writes gets through
    pollfd p[2] = {{out, POLLIN, 0}, {sent < much.size() ? in : -1, POLLIN, 0}};
    REQUIRE(poll(p, 2, 30'000) > 0);
    if (p[1].revents) {
      uint64_t n = 0;
      REQUIRE(stacyvm_stream_write(st, much.data() + sent, much.size() - sent, 0, &n, nullptr) == STACYVM_OK);
      sent += n;
      if (sent == much.size()) MUST(stacyvm_stream_finish(st, 0, err));
    }
    if (p[0].revents) {
      stacyvm_chunk c;
      STACYVM_INIT(&c);
      code = stacyvm_stream_next(st, 0, &c, nullptr);
      if (code == STACYVM_E_END) ended = true;
      else if (c.kind == STACYVM_CHUNK_STDOUT) back.append(static_cast<const char*>(c.data), c.size);
      REQUIRE(code != STACYVM_E_AGAIN);
    }
  }
  CHECK(back == much);
  stacyvm_exec_result r;
  STACYVM_INIT(&r);
  MUST(stacyvm_exec_result_of(st, &r, err));
  CHECK((r.exit_code == 0 && r.stdout_size == much.size()));
  stacyvm_stream_close(st);

  st = live.start("trap 'echo got it; exit 3' TERM; echo ready; while :; do sleep 0.02; done", STACYVM_EXEC_MERGE);
  char buf[64];
  uint64_t n = 0;
  MUST(stacyvm_stream_read(st, buf, sizeof buf, 30'000, &n, err));
  MUST(stacyvm_exec_signal(st, SIGTERM, 0, err));
  CHECK(drain(st, code) == "got it\n");
  MUST(stacyvm_exec_result_of(st, &r, err));
  CHECK(r.exit_code == 3);
  stacyvm_stream_close(st);

  st = live.start("printf '\\303'; sleep 0.1; printf '\\251x'", STACYVM_EXEC_TEXT);
  stacyvm_chunk c;
  STACYVM_INIT(&c);
  MUST(stacyvm_stream_next(st, 30'000, &c, err));
  CHECK(std::string(static_cast<const char*>(c.data), c.size) == "\xc3\xa9x");
  stacyvm_stream_close(st);
}

TEST_CASE("files: whole, streamed, committed or not at all, and their limits at the limit and beyond") {
  NEEDS_SANDBOXES;
  Live live;
  const std::string bytes("a\0b\xff", 4);
  MUST(stacyvm_file_write(live.sandbox, "/tmp/d/f", bytes.data(), bytes.size(), 0600, 0, err));
  CHECK(stacyvm_file_write(live.sandbox, "/tmp/d/f", "", 0, 0, STACYVM_FILE_EXCLUSIVE, nullptr) == STACYVM_E_CONFLICT);
  CHECK(stacyvm_file_write(live.sandbox, "/tmp/e/f", "", 0, 0, STACYVM_FILE_NO_PARENTS, nullptr) == STACYVM_E_FILE_NOT_FOUND);
  MUST(stacyvm_file_write(live.sandbox, "/tmp/d/f", "!", 1, 0, STACYVM_FILE_APPEND, err));
  void* data = nullptr;
  uint64_t size = 0;
  CHECK(stacyvm_file_read(live.sandbox, "/tmp/d/f", 4, &data, &size, nullptr) == STACYVM_E_LIMIT);
  CHECK(data == nullptr);
  MUST(stacyvm_file_read(live.sandbox, "/tmp/d/f", 5, &data, &size, err));
  CHECK(std::string(static_cast<char*>(data), size) == bytes + "!");
  stacyvm_free(data);
  stacyvm_stat s;
  STACYVM_INIT(&s);
  MUST(stacyvm_file_stat(live.sandbox, "/tmp/d/f", 0, &s, err));
  CHECK((s.size == 5 && s.type == STACYVM_TYPE_FILE && s.mode == 0600 && s.nlink == 1 && s.mtime_ns > 0));
  live.run("ln -s f /tmp/d/l; : > /tmp/empty");
  MUST(stacyvm_file_stat(live.sandbox, "/tmp/d/l", STACYVM_FILE_NO_FOLLOW, &s, err));
  CHECK(s.type == STACYVM_TYPE_SYMLINK);
  MUST(stacyvm_file_stat(live.sandbox, "/tmp/d", 0, &s, err));
  CHECK(s.type == STACYVM_TYPE_DIRECTORY);
  CHECK(stacyvm_file_stat(live.sandbox, "/tmp/none", 0, &s, nullptr) == STACYVM_E_FILE_NOT_FOUND);
  data = nullptr;
  MUST(stacyvm_file_read(live.sandbox, "/tmp/empty", 0, &data, &size, err));
  CHECK((data != nullptr && size == 0));
  stacyvm_free(data);

  const std::string most(64u << 20, 'm');  // one more is refused: see the tests of arguments
  MUST(stacyvm_file_write(live.sandbox, "/tmp/most", most.data(), most.size(), 0, 0, err));
  CHECK(live.run("wc -c < /tmp/most; rm /tmp/most") == std::to_string(most.size()) + "\n");

  stacyvm_stream* st = nullptr;
  const std::string big(5 << 20, 'z');
  uint64_t n = 0;
  MUST(stacyvm_file_writer(live.sandbox, "/tmp/big", 0, 0, &st, err));
  MUST(stacyvm_stream_write(st, big.data(), big.size(), 30'000, &n, err));
  CHECK(n == big.size());
  CHECK(stacyvm_file_stat(live.sandbox, "/tmp/big", 0, &s, nullptr) == STACYVM_E_FILE_NOT_FOUND);
  MUST(stacyvm_stream_finish(st, 30'000, err));
  stacyvm_stream_close(st);
  MUST(stacyvm_file_stat(live.sandbox, "/tmp/big", 0, &s, err));
  CHECK(s.size == big.size());
  MUST(stacyvm_file_writer(live.sandbox, "/tmp/dropped", 0, 0, &st, err));
  MUST(stacyvm_stream_write(st, "x", 1, 30'000, &n, err));
  stacyvm_stream_close(st);
  CHECK(live.run("ls /tmp/dropped 2>/dev/null").empty());
  int32_t code = 0;
  MUST(stacyvm_file_reader(live.sandbox, "/tmp/d/f", 1, 3, &st, err));
  CHECK(drain(st, code) == bytes.substr(1));
  CHECK(code == STACYVM_E_END);
  stacyvm_stream_close(st);
  MUST(stacyvm_file_reader(live.sandbox, "/tmp/none", 0, 0, &st, err));
  drain(st, code);
  CHECK(code == STACYVM_E_FILE_NOT_FOUND);
  stacyvm_stream_close(st);
}

TEST_CASE("50 commands and 10 spawns, one thread, one descriptor") {
  NEEDS_SANDBOXES;
  Live live;
  stacyvm_queue* q = nullptr;
  MUST(stacyvm_queue_new(live.vm, &q, err));
  std::map<uint64_t, stacyvm_stream*> streams;
  std::map<uint64_t, stacyvm_op*> ops;
  std::map<uint64_t, std::string> output;
  for (uint64_t i = 0; i < 50; ++i) {
    streams[i] = live.start(("echo number " + std::to_string(i)).c_str());
    MUST(stacyvm_queue_add_stream(q, streams[i], STACYVM_READY_READ, i, err));
  }
  for (uint64_t i = 100; i < 110; ++i) {
    MUST(stacyvm_spawn_begin(live.session, nullptr, &ops[i], err));
    MUST(stacyvm_queue_add_op(q, ops[i], i, err));
  }
  std::vector<stacyvm_sandbox*> sandboxes;
  while (!streams.empty() || !ops.empty()) {
    pollfd p{stacyvm_queue_fd(q), POLLIN, 0};
    REQUIRE(poll(&p, 1, 60'000) == 1);
    stacyvm_ready ready[16];
    uint32_t n = 0;
    REQUIRE(stacyvm_queue_wait(q, 0, ready, 16, &n, nullptr) == STACYVM_OK);
    for (uint32_t i = 0; i < n; ++i) {
      const uint64_t tag = ready[i].tag;
      if (tag >= 100) {
        sandboxes.emplace_back();
        MUST(stacyvm_op_sandbox(ops[tag], &sandboxes.back(), err));
        stacyvm_op_close(ops[tag]);
        ops.erase(tag);
        continue;
      }
      stacyvm_chunk c;
      STACYVM_INIT(&c);
      const int32_t code = stacyvm_stream_next(streams[tag], 0, &c, nullptr);
      REQUIRE((code == STACYVM_OK || code == STACYVM_E_END));
      if (code == STACYVM_OK) {
        output[tag].append(static_cast<const char*>(c.data), c.size);
      } else {
        stacyvm_stream_close(streams[tag]);
        streams.erase(tag);
      }
    }
  }
  for (uint64_t i = 0; i < 50; ++i) CHECK(output[i] == "number " + std::to_string(i) + "\n");
  CHECK(sandboxes.size() == 10);
  for (auto* sandbox : sandboxes) stacyvm_sandbox_close(sandbox);
  stacyvm_queue_close(q);
}

TEST_CASE("cancelling a command and closing its stream end the process") {
  NEEDS_SANDBOXES;
  Live live;
  for (const bool close_only : {false, true}) {
    stacyvm_stream* st = live.start("echo $$; exec sleep 1000", STACYVM_EXEC_MERGE);
    char buf[32] = {};
    uint64_t n = 0;
    MUST(stacyvm_stream_read(st, buf, sizeof buf - 1, 30'000, &n, err));
    std::thread waiter;
    if (!close_only) {
      waiter = std::thread([&] {
        stacyvm_chunk c;
        STACYVM_INIT(&c);
        CHECK(stacyvm_stream_next(st, -1, &c, nullptr) == STACYVM_E_CANCELLED);
      });
      stacyvm_stream_cancel(st);
      waiter.join();
    }
    stacyvm_stream_close(st);
    const std::string gone = "i=0; while kill -0 " + std::string(buf, n - 1) + " 2>/dev/null && [ $i -lt 500 ]; do i=$((i+1)); sleep 0.01; done; echo $i";
    CHECK(live.run(gone.c_str()) != "500\n");
  }
}

TEST_CASE("destroying a sandbox ends its streams; its handle says so") {
  NEEDS_SANDBOXES;
  Live live;
  stacyvm_stream* st = live.start("sleep 1000");
  MUST(stacyvm_sandbox_extend(live.sandbox, 60'000, err));
  CHECK(stacyvm_sandbox_extend(live.sandbox, 0, nullptr) == STACYVM_E_INVALID);
  char* info = nullptr;
  MUST(stacyvm_sandbox_info(live.sandbox, &info, err));
  CHECK(std::strstr(info, stacyvm_sandbox_id(live.sandbox)) != nullptr);
  stacyvm_free(info);
  MUST(stacyvm_sandbox_destroy(live.sandbox, err));
  int32_t code = 0;
  drain(st, code);
  CHECK(code == STACYVM_E_CLOSED);
  CHECK(stacyvm_sandbox_destroy(live.sandbox, nullptr) == STACYVM_E_NOT_FOUND);
  CHECK(stacyvm_sandbox_info(live.sandbox, &info, nullptr) == STACYVM_E_NOT_FOUND);
  stacyvm_stream_close(st);
}

TEST_CASE("an application that ignores SIGCHLD, and one that reaps every child, break nothing") {
  NEEDS_SANDBOXES;
  for (const bool reap : {false, true}) {
    const auto before = signal(SIGCHLD, reap ? SIG_DFL : SIG_IGN);
    std::atomic<bool> stop{false};
    std::thread reaper([&] {
      while (reap && !stop) {
        waitpid(-1, nullptr, WNOHANG);
        usleep(200);
      }
    });
    {
      Live live;
      CHECK(live.run("echo fine") == "fine\n");
      MUST(stacyvm_sandbox_destroy(live.sandbox, err));
    }
    stop = true;
    reaper.join();
    signal(SIGCHLD, before);
  }
}

TEST_CASE("a forked worker that closes nothing disturbs nobody") {
  NEEDS_SANDBOXES;
  int held[2];
  REQUIRE(pipe(held) == 0);
  pid_t child;
  std::chrono::steady_clock::time_point closing;
  {
    Live live;
    child = fork();
    if (child == 0) {
      stacyvm_exec_options o;
      STACYVM_INIT(&o);
      o.shell = "x";
      stacyvm_exec_result r;
      STACYVM_INIT(&r);
      const bool good = stacyvm_exec(live.sandbox, &o, &r, nullptr) == STACYVM_E_FORKED;
      char byte;
      close(held[1]);
      while (read(held[0], &byte, 1) > 0) {
      }
      _exit(good ? 0 : 1);
    }
    CHECK(live.run("echo parent") == "parent\n");
    closing = std::chrono::steady_clock::now();
  }
  CHECK(std::chrono::steady_clock::now() - closing < std::chrono::seconds(4));  // although the child holds every descriptor
  close(held[1]);
  int status = -1;
  CHECK(waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  close(held[0]);
}

TEST_CASE("a state directory has one owner at a time, and is free after close") {
  NEEDS_SANDBOXES;
  char directory[] = "/tmp/stacyvm-capi-XXXXXX";
  REQUIRE(mkdtemp(directory));
  const std::string state = std::string(directory) + "/state";
  stacyvm_options o;
  STACYVM_INIT(&o);
  o.state_dir = state.c_str();
  stacyvm_instance *a = nullptr, *b = nullptr, *memory = nullptr;
  MUST(stacyvm_open(&o, &a, err));
  CHECK(stacyvm_open(&o, &b, nullptr) == STACYVM_E_CONFLICT);
  CHECK(b == nullptr);
  MUST(stacyvm_open(nullptr, &memory, err));  // another one beside it
  stacyvm_close(a);
  MUST(stacyvm_open(&o, &b, err));
  stacyvm_close(b);
  stacyvm_close(memory);
  const std::string remove = "rm -rf " + std::string(directory);
  CHECK(system(remove.c_str()) == 0);
}

TEST_CASE("opened in the background: one owner at a time, told by the op; the directory is free when an untaken instance is closed") {
  NEEDS_SANDBOXES;
  char directory[] = "/tmp/stacyvm-capi-XXXXXX";
  REQUIRE(mkdtemp(directory));
  std::string state = std::string(directory) + "/state";
  stacyvm_options o;
  STACYVM_INIT(&o);
  o.state_dir = state.c_str();
  stacyvm_op *first = nullptr, *second = nullptr;
  MUST(stacyvm_open_begin(&o, &first, err));
  std::fill(state.begin(), state.end(), '?');  // the string was copied
  MUST(stacyvm_op_wait(first, -1, err));
  state = std::string(directory) + "/state";
  o.state_dir = state.c_str();
  MUST(stacyvm_open_begin(&o, &second, err));
  CHECK(stacyvm_op_wait(second, -1, nullptr) == STACYVM_E_CONFLICT);
  stacyvm_op_close(second);
  stacyvm_op_close(first);  // nobody took it
  MUST(stacyvm_open_begin(&o, &first, err));
  stacyvm_instance* vm = nullptr;
  MUST(stacyvm_op_wait(first, -1, err));
  MUST(stacyvm_op_instance(first, &vm, err));
  stacyvm_op_close(first);
  stacyvm_session* s = nullptr;
  stacyvm_sandbox* sb = nullptr;
  MUST(stacyvm_session_open(vm, nullptr, &s, err));
  MUST(stacyvm_spawn(s, nullptr, &sb, err));
  stacyvm_sandbox_close(sb);
  stacyvm_session_close(s);
  stacyvm_close(vm);
  const std::string remove = "rm -rf " + std::string(directory);
  CHECK(system(remove.c_str()) == 0);
}

TEST_CASE("diagnostics go to a copy of the descriptor, which the application may close") {
  NEEDS_SANDBOXES;
  int log[2];
  REQUIRE(pipe2(log, O_CLOEXEC) == 0);
  stacyvm_options o;
  STACYVM_INIT(&o);
  o.log_fd_plus1 = log[1] + 1;
  o.log_level = STACYVM_LOG_DEBUG;
  stacyvm_instance* vm = nullptr;
  MUST(stacyvm_open(&o, &vm, err));
  close(log[1]);
  const int reused = open("/dev/null", O_RDONLY | O_CLOEXEC);
  stacyvm_session* s = nullptr;
  stacyvm_sandbox* sb = nullptr;
  MUST(stacyvm_session_open(vm, nullptr, &s, err));
  MUST(stacyvm_spawn(s, nullptr, &sb, err));
  stacyvm_sandbox_close(sb);
  stacyvm_session_close(s);
  stacyvm_close(vm);
  char byte;
  ssize_t n;
  while ((n = read(log[0], &byte, 1)) > 0) {
  }
  CHECK(n == 0);  // end of file: the library's copy is closed, too
  close(reused);
  close(log[0]);
}

TEST_CASE("the host report is a JSON object, or a line for each of its rows") {
  char *json = nullptr, *text = nullptr;
  MUST(stacyvm_host_report(&json, err));
  CHECK((json[0] == '{' && json[std::strlen(json) - 1] == '}'));
  MUST(stacyvm_host_report_text(&text, err));
  const auto count = [](std::string_view in, std::string_view part) {
    size_t found = 0;
    for (size_t at = in.find(part); at != in.npos; at = in.find(part, at + 1)) ++found;
    return found;
  };
  CHECK(count(text, "\n") > 30);
  CHECK(count(text, "\n") == count(json, "\"name\":"));
  CHECK(count(text, " yes  ") == count(json, "\"ok\":true"));
  stacyvm_free(json);
  stacyvm_free(text);
}
