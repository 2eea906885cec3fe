#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <thread>

#include "bench.hpp"

using namespace fakes;

TEST_CASE("handles may be closed in any order, each once, and nothing is left") {
  std::mt19937 random(20240229);
  for (int round = 0; round < 300; ++round) {
    auto world = std::make_shared<World>();
    stacyvm_instance* vm = open_fake(world);
    stacyvm_session* s = nullptr;
    stacyvm_sandbox* sb = nullptr;
    stacyvm_stream* streams[2] = {};
    stacyvm_op *op = nullptr, *login = nullptr;
    stacyvm_queue* q = nullptr;
    MUST(stacyvm_session_open(vm, nullptr, &s, err));
    MUST(stacyvm_spawn(s, nullptr, &sb, err));
    stacyvm_exec_options o;
    STACYVM_INIT(&o);
    o.shell = "x";
    for (auto& st : streams) MUST(stacyvm_exec_start(sb, &o, &st, err));
    MUST(stacyvm_spawn_begin(s, nullptr, &op, err));
    MUST(stacyvm_session_open_begin(vm, nullptr, &login, err));
    MUST(stacyvm_queue_new(vm, &q, err));
    MUST(stacyvm_queue_add_op(q, login, 3, err));
    MUST(stacyvm_queue_add_stream(q, streams[0], STACYVM_READY_READ, 1, err));
    MUST(stacyvm_queue_add_op(q, op, 2, err));
    if (round % 2) stacyvm_queue_fd(q);
    stacyvm_error* kept = nullptr;
    CHECK(stacyvm_sandbox_get(s, "sb-none", nullptr, &kept) == STACYVM_E_INVALID);
    std::vector<std::function<void()>> closes = {
        [&] { stacyvm_close(vm); },
        [&] { stacyvm_session_close(s); },
        [&] { stacyvm_sandbox_close(sb); },
        [&] { stacyvm_stream_close(streams[0]); },
        [&] { stacyvm_stream_close(streams[1]); },
        [&] { stacyvm_op_close(op); },
        [&] { stacyvm_op_close(login); },
        [&] { stacyvm_queue_close(q); },
    };
    std::shuffle(closes.begin(), closes.end(), random);
    if (round % 3 == 0) {  // from many threads at once
      std::vector<std::thread> threads;
      for (auto& close : closes) threads.emplace_back(close);
      for (auto& thread : threads) thread.join();
    } else {
      for (auto& close : closes) close();
    }
    CHECK(world->managers == 0);
    world->streams.clear();
    CHECK(world->streams_alive == 0);
    CHECK(std::string(stacyvm_error_name(kept)) == "BAD_REQUEST");
    CHECK(std::string(stacyvm_error_details(kept)) == "{\"field\":\"out\"}");
    stacyvm_error_free(kept);
  }
}

TEST_CASE("every child of a closed instance answers CLOSED and leaves its outputs alone") {
  auto b = std::make_unique<Bench>();
  stacyvm_stream* st = b->exec(STACYVM_EXEC_STDIN);
  stacyvm_op *op = nullptr, *login = nullptr;
  MUST(stacyvm_spawn_begin(b->session, nullptr, &op, err));
  MUST(stacyvm_op_wait(op, -1, err));
  MUST(stacyvm_session_open_begin(b->vm, nullptr, &login, err));
  stacyvm_session* s2 = nullptr;
  stacyvm_queue* q = nullptr;
  MUST(stacyvm_queue_new(b->vm, &q, err));
  stacyvm_close(b->vm);
  b->vm = nullptr;
  char* json = nullptr;
  stacyvm_sandbox* sb = nullptr;
  stacyvm_op* op2 = nullptr;
  stacyvm_stream* st2 = nullptr;
  stacyvm_exec_options o;
  STACYVM_INIT(&o);
  o.shell = "x";
  stacyvm_exec_result r;
  STACYVM_INIT(&r);
  stacyvm_stat stat;
  STACYVM_INIT(&stat);
  stacyvm_chunk c;
  STACYVM_INIT(&c);
  stacyvm_ready ready;
  uint32_t count = 0;
  uint64_t n = 0;
  void* data = nullptr;
  const int32_t codes[] = {
      stacyvm_call(b->session, "sandbox.list", nullptr, 0, nullptr, 0, &json, nullptr),
      stacyvm_call_begin(b->session, "sandbox.list", nullptr, 0, nullptr, 0, &op2, nullptr),
      stacyvm_call_stream(b->session, "exec.start", nullptr, 0, nullptr, 0, &st2, nullptr),
      stacyvm_spawn(b->session, nullptr, &sb, nullptr),
      stacyvm_spawn_begin(b->session, nullptr, &op2, nullptr),
      stacyvm_sandbox_get(b->session, "x", &sb, nullptr),
      stacyvm_sandbox_info(b->sandbox, &json, nullptr),
      stacyvm_sandbox_extend(b->sandbox, 1, nullptr),
      stacyvm_sandbox_destroy(b->sandbox, nullptr),
      stacyvm_sandbox_destroy_begin(b->sandbox, &op2, nullptr),
      stacyvm_exec(b->sandbox, &o, &r, nullptr),
      stacyvm_exec_start(b->sandbox, &o, &st2, nullptr),
      stacyvm_exec_signal(st, 1, 0, nullptr),
      stacyvm_exec_result_of(st, &r, nullptr),
      stacyvm_file_read(b->sandbox, "/x", 0, &data, &n, nullptr),
      stacyvm_file_write(b->sandbox, "/x", "", 0, 0, 0, nullptr),
      stacyvm_file_stat(b->sandbox, "/x", 0, &stat, nullptr),
      stacyvm_file_reader(b->sandbox, "/x", 0, 0, &st2, nullptr),
      stacyvm_file_writer(b->sandbox, "/x", 0, 0, &st2, nullptr),
      stacyvm_file_upload(b->sandbox, "/x", "u", 0, 0, 0, &st2, nullptr),
      stacyvm_file_get(b->sandbox, "/x", 0, 2, &op2, nullptr),  // one that is open for writing
      stacyvm_file_put(b->sandbox, "/x", 0, 0, &op2, nullptr),
      stacyvm_file_watch(b->sandbox, "/x", 0, &st2, nullptr),
      stacyvm_port_dial(b->sandbox, 80, 0, &st2, nullptr),
      stacyvm_socket_dial(b->sandbox, "/x", 0, &st2, nullptr),
      stacyvm_stream_next(st, -1, &c, nullptr),
      stacyvm_stream_write(st, "x", 1, -1, &n, nullptr),
      stacyvm_stream_finish(st, -1, nullptr),
      stacyvm_op_wait(op, -1, nullptr),
      stacyvm_op_json(op, &json, nullptr),
      stacyvm_op_sandbox(op, &sb, nullptr),
      stacyvm_op_wait(login, -1, nullptr),
      stacyvm_op_session(login, &s2, nullptr),
      stacyvm_session_check(b->session, &json, nullptr),
      stacyvm_queue_wait(q, -1, &ready, 1, &count, nullptr),
      stacyvm_queue_add_stream(q, st, STACYVM_READY_READ, 0, nullptr),
      stacyvm_queue_add_op(q, op, 0, nullptr),
  };
  for (size_t i = 0; i < std::size(codes); ++i) CHECK_MESSAGE(codes[i] == STACYVM_E_CLOSED, i);
  CHECK((!json && !sb && !s2 && !op2 && !st2 && !data && n == 0 && count == 0));
  stacyvm_stream_close(st);
  stacyvm_op_close(op);
  stacyvm_op_close(login);
  stacyvm_queue_close(q);
}

TEST_CASE("after fork every handle answers FORKED, closing is safe, and the parent notices nothing") {
  Bench b;
  stacyvm_stream* st = b.exec(STACYVM_EXEC_STDIN);
  stacyvm_op* op = nullptr;
  b.world->hold_spawns = true;
  MUST(stacyvm_spawn_begin(b.session, nullptr, &op, err));
  stacyvm_queue* q = nullptr;
  MUST(stacyvm_queue_new(b.vm, &q, err));
  MUST(stacyvm_queue_add_stream(q, st, STACYVM_READY_READ, 1, err));
  std::atomic<bool> stop{false};
  std::thread busy([&] {  // so that locks are held at the moment of some of the forks
    while (!stop) {
      char* json = nullptr;
      if (stacyvm_call(b.session, "sandbox.list", nullptr, 0, nullptr, 0, &json, nullptr) == STACYVM_OK) stacyvm_free(json);
      stacyvm_queue* other = nullptr;
      if (stacyvm_queue_new(b.vm, &other, nullptr) == STACYVM_OK) stacyvm_queue_close(other);
    }
  });
  for (int i = 0; i < 20; ++i) {
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      alarm(10);
      char* json = nullptr;
      stacyvm_exec_options o;
      STACYVM_INIT(&o);
      o.shell = "x";
      stacyvm_exec_result r;
      STACYVM_INIT(&r);
      stacyvm_chunk c;
      STACYVM_INIT(&c);
      stacyvm_session* s2 = nullptr;
      stacyvm_ready ready;
      uint32_t n = 0;
      stacyvm_error* e = nullptr;
      bool good = stacyvm_exec(b.sandbox, &o, &r, &e) == STACYVM_E_FORKED;
      good = good && e && strcmp(stacyvm_error_name(e), "FORKED") == 0;
      stacyvm_error_free(e);
      good = good && stacyvm_session_open(b.vm, nullptr, &s2, nullptr) == STACYVM_E_FORKED;
      good = good && stacyvm_session_check(b.session, &json, nullptr) == STACYVM_E_FORKED;
      good = good && stacyvm_shutdown(b.vm, 0, nullptr) == STACYVM_E_FORKED;
      good = good && stacyvm_call(b.session, "sandbox.list", nullptr, 0, nullptr, 0, &json, nullptr) == STACYVM_E_FORKED;
      good = good && stacyvm_stream_next(st, -1, &c, nullptr) == STACYVM_E_FORKED;
      good = good && stacyvm_op_wait(op, -1, nullptr) == STACYVM_E_FORKED;
      good = good && stacyvm_queue_wait(q, -1, &ready, 1, &n, nullptr) == STACYVM_E_FORKED;
      good = good && stacyvm_stream_fd(st, 0) == -1 && stacyvm_op_fd(op) == -1 && stacyvm_queue_fd(q) == -1;
      good = good && stacyvm_sandbox_id(b.sandbox) != nullptr;
      stacyvm_stream_cancel(st);
      stacyvm_op_cancel(op);
      stacyvm_close(b.vm);
      stacyvm_queue_close(q);
      stacyvm_op_close(op);
      stacyvm_stream_close(st);
      stacyvm_sandbox_close(b.sandbox);
      stacyvm_session_close(b.session);
      _exit(good ? 0 : 1);
    }
    int status = -1;
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK(status == 0);
  }
  stop = true;
  busy.join();
  b.world->release_spawns();
  CHECK(stacyvm_op_wait(op, -1, nullptr) == STACYVM_OK);
  b.world->last()->out("still here");
  CHECK(text(next(st)) == "still here");
  stacyvm_stream_close(st);
  stacyvm_op_close(op);
  stacyvm_queue_close(q);
}

TEST_CASE("two instances know nothing of each other") {
  Bench a, b;
  stacyvm_sandbox* sb = nullptr;
  CHECK(stacyvm_sandbox_get(b.session, stacyvm_sandbox_id(a.sandbox), &sb, nullptr) == STACYVM_E_NOT_FOUND);
  stacyvm_stream* st = a.exec();
  stacyvm_close(b.vm);
  b.vm = nullptr;
  a.world->last()->out("x");
  CHECK(text(next(st)) == "x");
  CHECK(stacyvm_shutdown(a.vm, -2, nullptr) == STACYVM_E_INVALID);
  CHECK(stacyvm_shutdown(a.vm, -1, nullptr) == STACYVM_OK);
  CHECK(stacyvm_spawn(a.session, nullptr, &sb, nullptr) == STACYVM_E_CLOSED);
  CHECK(stacyvm_shutdown(a.vm, 0, nullptr) == STACYVM_OK);
  stacyvm_stream_close(st);
}

TEST_CASE("descriptors that the application closes behind our back break nothing") {
  Bench b;
  stacyvm_stream* st = b.exec();
  stacyvm_queue* q = nullptr;
  MUST(stacyvm_queue_new(b.vm, &q, err));
  MUST(stacyvm_queue_add_stream(q, st, STACYVM_READY_READ, 9, err));
  close(stacyvm_stream_fd(st, 0));
  close(stacyvm_queue_fd(q));
  b.world->last()->out("x");
  stacyvm_ready ready;
  uint32_t n = 0;
  CHECK(stacyvm_queue_wait(q, -1, &ready, 1, &n, nullptr) == STACYVM_OK);
  CHECK(text(next(st)) == "x");
  CHECK(stacyvm_queue_wait(q, 0, &ready, 1, &n, nullptr) == STACYVM_E_AGAIN);
  stacyvm_stream_close(st);
  stacyvm_queue_close(q);
}
