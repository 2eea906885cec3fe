// Instances and sessions that are opened in the background.
#include <future>
#include <thread>

#include "bench.hpp"
#include "op.hpp"

using namespace fakes;

namespace {

/// An opening that lasts until it is let go, or fails.
struct Opening {
  std::shared_ptr<World> world = std::make_shared<World>();
  std::promise<void> entered, go;
  stacyvm_op* op = capi::make_op([this] {
    entered.set_value();
    go.get_future().wait();
    auto instance = std::make_shared<capi::Instance>(std::make_unique<Manager>(world), Fd(), svm::Log());
    return capi::Op::Outcome{.json = "{}", .sandbox = {}, .instance = std::move(instance)};
  });

  int managers() {
    const std::lock_guard lock(world->mutex);
    return world->managers;
  }
  /// The instance that nobody took has been closed.
  void wait_closed() {
    world->wait([&] { return world->shutdowns == 1; });
    while (managers() > 0) std::this_thread::yield();
  }
};

}  // namespace

TEST_CASE("an instance opened in the background: not yet, then done, then taken once, while an older one's queue serves it") {
  Bench b;
  stacyvm_queue* q = nullptr;
  MUST(stacyvm_queue_new(b.vm, &q, err));
  Opening opening;
  const int fd = stacyvm_op_fd(opening.op);
  MUST(stacyvm_queue_add_op(q, opening.op, 7, err));
  opening.entered.get_future().wait();
  stacyvm_instance* vm = nullptr;
  stacyvm_ready ready;
  uint32_t n = 0;
  CHECK(!readable(fd));
  CHECK(stacyvm_op_wait(opening.op, 0, nullptr) == STACYVM_E_AGAIN);
  CHECK(stacyvm_op_instance(opening.op, &vm, nullptr) == STACYVM_E_AGAIN);
  CHECK(stacyvm_queue_wait(q, 0, &ready, 1, &n, nullptr) == STACYVM_E_AGAIN);
  opening.go.set_value();
  MUST(stacyvm_queue_wait(q, -1, &ready, 1, &n, err));
  CHECK((n == 1 && ready.tag == 7 && ready.ready == STACYVM_READY_DONE && ready.code == STACYVM_OK));
  CHECK(readable(fd));
  MUST(stacyvm_op_instance(opening.op, &vm, err));
  stacyvm_instance* again = nullptr;
  CHECK(stacyvm_op_instance(opening.op, &again, nullptr) == STACYVM_E_CONFLICT);
  CHECK(again == nullptr);
  char* json = nullptr;
  MUST(stacyvm_op_json(opening.op, &json, err));
  CHECK(std::string(json) == "{}");
  stacyvm_free(json);
  stacyvm_sandbox* sb = nullptr;
  stacyvm_session* s = nullptr;
  CHECK(stacyvm_op_sandbox(opening.op, &sb, nullptr) == STACYVM_E_INVALID);
  CHECK(stacyvm_op_session(opening.op, &s, nullptr) == STACYVM_E_INVALID);
  stacyvm_op_close(opening.op);
  CHECK(opening.managers() == 1);
  MUST(stacyvm_session_open(vm, nullptr, &s, err));
  stacyvm_session_close(s);
  stacyvm_close(vm);
  CHECK(opening.managers() == 0);
  stacyvm_queue_close(q);
}

TEST_CASE("an instance that nobody took is closed: op closed before, closed after, cancelled") {
  for (int how = 0; how < 3; ++how) {
    CAPTURE(how);
    Opening opening;
    opening.entered.get_future().wait();
    if (how == 0) stacyvm_op_close(opening.op);
    if (how == 2) {
      std::thread([&] { stacyvm_op_cancel(opening.op); }).join();
      CHECK(stacyvm_op_wait(opening.op, 0, nullptr) == STACYVM_E_CANCELLED);
    }
    opening.go.set_value();
    if (how == 1) {
      CHECK(stacyvm_op_wait(opening.op, -1, nullptr) == STACYVM_OK);
      CHECK(opening.managers() == 1);
      stacyvm_op_close(opening.op);
      CHECK(opening.managers() == 0);  // as by stacyvm_close: when it returns
    }
    opening.wait_closed();
    if (how == 2) {
      stacyvm_instance* vm = nullptr;
      CHECK(stacyvm_op_instance(opening.op, &vm, nullptr) == STACYVM_E_CANCELLED);
      CHECK(vm == nullptr);
      stacyvm_op_close(opening.op);
    }
  }
}

TEST_CASE("cancel races with the end of an opening: either way the instance has one owner") {
  for (int i = 0; i < 100; ++i) {
    Opening opening;
    opening.entered.get_future().wait();
    std::thread canceller([&] { stacyvm_op_cancel(opening.op); });
    opening.go.set_value();
    const int32_t code = stacyvm_op_wait(opening.op, -1, nullptr);
    canceller.join();
    stacyvm_instance* vm = nullptr;
    CHECK(stacyvm_op_instance(opening.op, &vm, nullptr) == code);
    CHECK((code == STACYVM_OK || code == STACYVM_E_CANCELLED));
    stacyvm_op_close(opening.op);
    stacyvm_close(vm);
    opening.wait_closed();
  }
}

TEST_CASE("a failed opening is told by the op, each time") {
  stacyvm_op* op = capi::make_op([]() -> capi::Op::Outcome { throw Error(Code::conflict, "it is taken"); });
  for (int i = 0; i < 2; ++i) {
    stacyvm_error* e = nullptr;
    CHECK(stacyvm_op_wait(op, -1, &e) == STACYVM_E_CONFLICT);
    CHECK(std::string(stacyvm_error_message(e)) == "it is taken");
    stacyvm_error_free(e);
    stacyvm_instance* vm = nullptr;
    CHECK(stacyvm_op_instance(op, &vm, nullptr) == STACYVM_E_CONFLICT);
    CHECK(vm == nullptr);
  }
  stacyvm_op_close(op);
}

TEST_CASE("a session opened in the background is taken once, and knows who it is") {
  Bench b;
  stacyvm_session_options o;
  STACYVM_INIT(&o);
  o.source = "10.0.0.1";
  stacyvm_op* op = nullptr;
  MUST(stacyvm_session_open_begin(b.vm, &o, &op, err));
  MUST(stacyvm_op_wait(op, -1, err));
  stacyvm_instance* vm = nullptr;
  CHECK(stacyvm_op_instance(op, &vm, nullptr) == STACYVM_E_INVALID);
  stacyvm_session *s = nullptr, *again = nullptr;
  MUST(stacyvm_op_session(op, &s, err));
  CHECK(stacyvm_op_session(op, &again, nullptr) == STACYVM_E_CONFLICT);
  stacyvm_op_close(op);
  char* who = nullptr;
  MUST(stacyvm_session_check(s, &who, err));
  CHECK(std::string(who) == R"({"actor":"local","owner_id":"","tenant_id":"","local":true,"scopes":["*"]})");
  stacyvm_free(who);
  stacyvm_session_close(s);
  o.flags = STACYVM_SESSION_REMOTE;
  o.actor = "key 7";
  o.owner = " someone ";
  MUST(stacyvm_session_open(b.vm, &o, &s, err));
  MUST(stacyvm_session_check(s, &who, err));
  CHECK(std::string(who) == R"({"actor":"key 7","owner_id":"someone","tenant_id":"","local":false,"scopes":["*"]})");
  stacyvm_free(who);
  stacyvm_session_close(s);
}

TEST_CASE("a session that nobody took is closed, and bad options are told at once") {
  Bench b;
  stacyvm_op* op = nullptr;
  const std::string text(257, 'x');
  stacyvm_session_options o;
  STACYVM_INIT(&o);
  o.source = text.c_str();
  CHECK(stacyvm_session_open_begin(b.vm, &o, &op, nullptr) == STACYVM_E_INVALID);
  CHECK(op == nullptr);
  MUST(stacyvm_session_open_begin(b.vm, nullptr, &op, err));
  MUST(stacyvm_op_wait(op, -1, err));
  stacyvm_op_cancel(op);  // too late to mean anything
  MUST(stacyvm_op_wait(op, 0, err));
  stacyvm_op_close(op);
}
