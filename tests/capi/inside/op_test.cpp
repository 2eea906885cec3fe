#include <thread>

#include "bench.hpp"

using namespace fakes;

TEST_CASE("a spawn begun in the background: not yet, then done, then taken") {
  Bench b;
  b.world->hold_spawns = true;
  stacyvm_op* op = nullptr;
  MUST(stacyvm_spawn_begin(b.session, nullptr, &op, err));
  const int fd = stacyvm_op_fd(op);
  CHECK(!readable(fd));
  stacyvm_sandbox* sb = nullptr;
  char* json = nullptr;
  CHECK(stacyvm_op_wait(op, 0, nullptr) == STACYVM_E_AGAIN);
  CHECK(stacyvm_op_wait(op, 5, nullptr) == STACYVM_E_AGAIN);
  CHECK(stacyvm_op_sandbox(op, &sb, nullptr) == STACYVM_E_AGAIN);
  CHECK(stacyvm_op_json(op, &json, nullptr) == STACYVM_E_AGAIN);
  CHECK((sb == nullptr && json == nullptr));
  b.world->release_spawns();
  CHECK(stacyvm_op_wait(op, -1, nullptr) == STACYVM_OK);
  CHECK(readable(fd));
  MUST(stacyvm_op_json(op, &json, err));
  MUST(stacyvm_op_sandbox(op, &sb, err));
  CHECK(std::string(json) == "{\"id\":\"" + std::string(stacyvm_sandbox_id(sb)) + "\"}");
  stacyvm_free(json);
  stacyvm_op_cancel(op);  // too late to mean anything
  CHECK(stacyvm_op_wait(op, 0, nullptr) == STACYVM_OK);
  stacyvm_op_close(op);
  CHECK(b.world->live() == 2);
  stacyvm_sandbox_close(sb);
}

TEST_CASE("a spawned sandbox that nobody took is destroyed: closed before, closed after, cancelled") {
  Bench b;
  for (int how = 0; how < 3; ++how) {
    const int before = b.world->destroys;
    b.world->hold_spawns = how != 1;
    const int entered = b.world->spawns_entered;
    stacyvm_op* op = nullptr;
    MUST(stacyvm_spawn_begin(b.session, nullptr, &op, err));
    b.world->wait([&] { return b.world->spawns_entered > entered; });
    if (how == 0) stacyvm_op_close(op);
    if (how == 1) {
      CHECK(stacyvm_op_wait(op, -1, nullptr) == STACYVM_OK);
      stacyvm_op_close(op);
    }
    if (how == 2) {
      stacyvm_op_cancel(op);
      CHECK(stacyvm_op_wait(op, 0, nullptr) == STACYVM_E_CANCELLED);
      stacyvm_sandbox* sb = nullptr;
      CHECK(stacyvm_op_sandbox(op, &sb, nullptr) == STACYVM_E_CANCELLED);
    }
    b.world->release_spawns();
    b.world->wait([&] { return b.world->destroys == before + 1; });
    if (how == 2) stacyvm_op_close(op);
    CHECK(b.world->live() == 1);
  }
}

TEST_CASE("what is cancelled before it began never begins") {
  Bench b;
  b.world->hold_spawns = true;
  const size_t threads = svm::capi::waiting_threads();
  std::vector<stacyvm_op*> ops(threads + 6);
  for (auto& op : ops) MUST(stacyvm_spawn_begin(b.session, nullptr, &op, err));
  b.world->wait([&] { return b.world->spawns_entered == static_cast<int>(threads) + 1; });  // and the bench's own
  stacyvm_op_cancel(ops.back());
  CHECK(stacyvm_op_wait(ops.back(), 0, nullptr) == STACYVM_E_CANCELLED);
  b.world->release_spawns();
  for (size_t i = 0; i + 1 < ops.size(); ++i) CHECK(stacyvm_op_wait(ops[i], -1, nullptr) == STACYVM_OK);
  CHECK(b.world->spawns_entered == static_cast<int>(ops.size()));
  for (auto* op : ops) stacyvm_op_close(op);
  b.world->wait([&] { return b.world->destroys == static_cast<int>(ops.size()) - 1; });
}

TEST_CASE("cancel races with the end: either way the sandbox has one owner") {
  Bench b;
  for (int i = 0; i < 200; ++i) {
    stacyvm_op* op = nullptr;
    MUST(stacyvm_spawn_begin(b.session, nullptr, &op, err));
    std::thread canceller([&] { stacyvm_op_cancel(op); });
    const int32_t code = stacyvm_op_wait(op, -1, nullptr);
    canceller.join();
    CHECK(stacyvm_op_wait(op, 0, nullptr) == code);
    stacyvm_sandbox* sb = nullptr;
    CHECK(stacyvm_op_sandbox(op, &sb, nullptr) == code);
    if (code == STACYVM_OK) {
      CHECK(stacyvm_sandbox_destroy(sb, nullptr) == STACYVM_OK);
      stacyvm_sandbox_close(sb);
    } else {
      CHECK(code == STACYVM_E_CANCELLED);
    }
    stacyvm_op_close(op);
  }
  b.world->wait([&] { return std::count_if(b.world->sandboxes.begin(), b.world->sandboxes.end(), [](auto& s) { return s.second; }) == 1; });
}

TEST_CASE("destroy and any other operation in the background, and their errors") {
  Bench b;
  stacyvm_op* op = nullptr;
  MUST(stacyvm_sandbox_destroy_begin(b.sandbox, &op, err));
  CHECK(stacyvm_op_wait(op, -1, nullptr) == STACYVM_OK);
  stacyvm_sandbox* sb = nullptr;
  CHECK(stacyvm_op_sandbox(op, &sb, nullptr) == STACYVM_E_INVALID);
  stacyvm_op_close(op);
  CHECK(b.world->live() == 0);
  MUST(stacyvm_sandbox_destroy_begin(b.sandbox, &op, err));
  for (int i = 0; i < 2; ++i) {
    stacyvm_error* e = nullptr;
    CHECK(stacyvm_op_wait(op, -1, &e) == STACYVM_E_NOT_FOUND);
    CHECK(std::string(stacyvm_error_name(e)) == "NOT_FOUND");
    stacyvm_error_free(e);
  }
  stacyvm_op_close(op);
  MUST(stacyvm_call_begin(b.session, "sandbox.list", nullptr, 0, nullptr, 0, &op, err));
  CHECK(stacyvm_op_wait(op, -1, nullptr) == STACYVM_OK);
  char* json = nullptr;
  MUST(stacyvm_op_json(op, &json, err));
  CHECK(std::string(json) == "[]");
  stacyvm_free(json);
  stacyvm_op_close(op);
  MUST(stacyvm_call_begin(b.session, "no.such", nullptr, 0, nullptr, 0, &op, err));
  CHECK(stacyvm_op_wait(op, -1, nullptr) == STACYVM_E_NOT_FOUND);
  stacyvm_op_close(op);
}

TEST_CASE("closing the instance ends calls in flight and waits for them") {
  for (int i = 0; i < 20; ++i) {
    auto world = std::make_shared<World>();
    stacyvm_instance* vm = open_fake(world);
    stacyvm_session* s = nullptr;
    MUST(stacyvm_session_open(vm, nullptr, &s, err));
    world->hold_spawns = true;
    stacyvm_op* op = nullptr;
    MUST(stacyvm_spawn_begin(s, nullptr, &op, err));
    world->wait([&] { return world->spawns_entered == 1; });
    std::thread waiter([&] { CHECK(stacyvm_op_wait(op, -1, nullptr) == STACYVM_E_CLOSED); });
    std::thread blocked([&] {
      stacyvm_sandbox* sb = nullptr;
      CHECK(stacyvm_spawn(s, nullptr, &sb, nullptr) == STACYVM_E_CLOSED);
    });
    stacyvm_close(vm);
    CHECK(world->managers == 0);
    waiter.join();
    blocked.join();
    CHECK(stacyvm_op_wait(op, 0, nullptr) == STACYVM_E_CLOSED);
    stacyvm_op_close(op);
    stacyvm_session_close(s);
  }
}
