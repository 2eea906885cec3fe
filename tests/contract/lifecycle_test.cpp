// Names, idempotency keys, labels, the default timeout, and what of a sandbox stays when it has ended.
#include <atomic>
#include <barrier>
#include <filesystem>
#include <functional>
#include <mutex>
#include <set>
#include <thread>

#include "lab.hpp"

using namespace svm::test;
using stacyvm::Sandbox, stacyvm::Spawn;
using std::chrono::milliseconds;

namespace {

constexpr int kRacers = 50;

Spawn named(const std::string& name, uint64_t flags = STACYVM_SPAWN_GET_OR_CREATE) {
  Spawn spawn = spawn_options();
  spawn.name = name;
  spawn.flags = flags;
  return spawn;
}

Spawn keyed(const std::string& key) {
  Spawn spawn = spawn_options();
  spawn.idempotency_key = key;
  return spawn;
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != text.npos; }

/// Runs `action` in many threads at the same moment.
void race(const std::function<void()>& action) {
  std::barrier start(kRacers);
  std::vector<std::thread> threads;
  for (int i = 0; i < kRacers; ++i)
    threads.emplace_back([&] {
      start.arrive_and_wait();
      action();
    });
  for (std::thread& thread : threads) thread.join();
}

/// The ids that the racers got.
class Ids {
 public:
  void add(std::string id) {
    const std::lock_guard lock(mutex_);
    ids_.insert(std::move(id));
  }
  size_t size() const { return ids_.size(); }

 private:
  std::mutex mutex_;
  std::set<std::string> ids_;
};

size_t count(const std::string& list) {
  size_t n = 0;
  for (size_t at = 0; (at = list.find("\"state\"", at)) != list.npos; ++at) ++n;
  return n;
}

}  // namespace

TEST_CASE("a name is a live sandbox's alone, and is as good as its id where one is looked up") {
  stacyvm::Instance vm;
  stacyvm::Session session = vm.session();
  Sandbox sandbox = session.spawn(named("web", 0));
  CHECK(has(sandbox.info(), "\"name\":\"web\""));
  CHECK(session.sandbox("web").id() == sandbox.id());
  CHECK(session.call("sandbox.get", {{"id", "web"}}) == sandbox.info());
  CHECK(code_of([&] { session.sandbox("we"); }) == STACYVM_E_NOT_FOUND);
  CHECK(code_of([&] { session.call("sandbox.destroy", {{"id", "web"}}); }) == STACYVM_E_NOT_FOUND);
  CHECK(code_of([&] { session.spawn(named("web", 0)); }) == STACYVM_E_CONFLICT);
  CHECK(has(details_of([&] { session.spawn(named("web", 0)); }), R"("field":"name")"));
  CHECK(has(details_of([&] { session.spawn(named("sb-x", 0)); }), R"("field":"name")"));
  sandbox.destroy();
  CHECK(code_of([&] { session.sandbox("web"); }) == STACYVM_E_NOT_FOUND);
  Sandbox next = session.spawn(named("web", 0));
  CHECK(session.sandbox("web").id() == next.id());
  CHECK(next.id() != sandbox.id());
}

TEST_CASE("get or create answers the sandbox of that name and spec, and no other spec") {
  stacyvm::Instance vm;
  stacyvm::Session session = vm.session();
  Spawn spawn = named("build");
  spawn.memory_bytes = 0;
  spawn.env = {{"TOKEN", "one"}};
  Sandbox first = session.spawn(spawn);
  Spawn same = spawn;
  same.image = "host";  // what the default is
  same.ttl = std::chrono::hours(1);
  same.labels = {{"by", "another"}};
  CHECK(session.spawn(same).id() == first.id());
  CHECK_FALSE(has(first.info(), "another"));
  CHECK(has(session.call("sandbox.spawn", {}, R"({"name":"build","get_or_create":true,"env":{"TOKEN":"one"}})"), R"("existed":true)"));
  const auto refused = [&](auto change) {
    Spawn other = spawn;
    change(other);
    return code_of([&] { session.spawn(other); }) == STACYVM_E_CONFLICT;
  };
  CHECK(refused([](Spawn& s) { s.env = {{"TOKEN", "two"}}; }));
  CHECK(refused([](Spawn& s) { s.pids = 256; }));  // written: to be enforced
  CHECK(refused([](Spawn& s) { s.user = "root"; }));
  CHECK(refused([](Spawn& s) { s.profile = "debug"; }));
  CHECK(refused([](Spawn& s) { s.timeout = milliseconds(5); }));
  CHECK(refused([](Spawn& s) { s.flags |= STACYVM_SPAWN_BEST_EFFORT; }));
  CHECK(refused([](Spawn& s) { s.mounts = {{"/etc", "/mnt", false}}; }));
  CHECK(code_of([&] { session.spawn([&] { auto s = spawn; s.name.clear(); return s; }()); }) == STACYVM_E_INVALID);

  // An op that nobody took destroys what it made, never what was there.
  session.spawn_begin(spawn).wait();
  {
    auto op = session.spawn_begin(spawn);
    op.wait();
  }
  CHECK(sh(first, "echo still here") == "still here\n");
  first.destroy();
  CHECK(session.spawn(spawn).id() != first.id());
}

TEST_CASE("fifty threads that get or create one name have one sandbox") {
  stacyvm::Instance vm;
  stacyvm::Session session = vm.session();
  Ids ids;
  std::atomic<int> failures = 0;
  race([&] {
    try {
      ids.add(session.spawn(named("one")).id());
    } catch (const stacyvm::Error&) {
      ++failures;
    }
  });
  CHECK(failures == 0);
  CHECK(ids.size() == 1);
  CHECK(count(session.call("sandbox.list")) == 1);
}

TEST_CASE("fifty threads that create one name: one has it, the others are told") {
  stacyvm::Instance vm;
  stacyvm::Session session = vm.session();
  std::atomic<int> made = 0, conflicts = 0;
  race([&] {
    const int32_t code = code_of([&] { session.spawn(named("one", 0)); });
    if (code == STACYVM_OK) ++made;
    if (code == STACYVM_E_CONFLICT) ++conflicts;
  });
  CHECK(made == 1);
  CHECK(conflicts == kRacers - 1);
}

TEST_CASE("get or create waits for a sandbox of that name that is on its way out") {
  stacyvm::Instance vm;
  stacyvm::Session session = vm.session();
  for (int i = 0; i < 10; ++i) {
    Sandbox old = session.spawn(named("again"));
    std::thread end([&] { old.destroy(); });
    Sandbox other = session.spawn(named("again"));  // the old one, or a new one; never an error
    end.join();
    if (other.id() != old.id()) other.destroy();
  }
}

TEST_CASE("the same key and request is the same sandbox; another request is a conflict") {
  stacyvm::Instance vm;
  stacyvm::Session session = vm.session();
  Sandbox first = session.spawn(keyed("order-17"));
  CHECK(session.spawn(keyed("order-17")).id() == first.id());
  CHECK(session.spawn(keyed("order-18")).id() != first.id());
  Spawn other = keyed("order-17");
  other.labels = {{"a", "b"}};
  CHECK(code_of([&] { session.spawn(other); }) == STACYVM_E_CONFLICT);
  CHECK(has(details_of([&] { session.spawn(other); }), R"("field":"idempotency_key")"));
  first.destroy();
  const std::string again = session.call("sandbox.spawn", {}, "{\"provider\":\"" + provider() + R"(","idempotency_key":"order-17"})");
  CHECK(has(again, first.id()));
  CHECK(has(again, R"("state":"destroyed")"));
  CHECK(has(again, R"("existed":true)"));
  // Not even a prune makes the key forget.
  session.call("sandbox.prune");
  CHECK(session.spawn(keyed("order-17")).id() == first.id());
}

TEST_CASE("a spawn that failed frees its key") {
  stacyvm::Instance vm;
  stacyvm::Session session = vm.session();
  TemporaryDirectory directory;
  const std::string root = directory.path() + "/root";
  Spawn spawn = keyed("k");
  spawn.mounts = {{root, "/mnt", false}};
  CHECK(code_of([&] { session.spawn(spawn); }) != STACYVM_OK);  // there is nothing to mount
  std::filesystem::create_directory(root);
  Sandbox made = session.spawn(spawn);
  CHECK(session.spawn(spawn).id() == made.id());
}

TEST_CASE("fifty threads with one key have one sandbox") {
  stacyvm::Instance vm;
  stacyvm::Session session = vm.session();
  Ids ids;
  std::atomic<int> failures = 0;
  race([&] {
    try {
      ids.add(session.spawn(keyed("one")).id());
    } catch (const stacyvm::Error&) {
      ++failures;
    }
  });
  CHECK(failures == 0);
  CHECK(ids.size() == 1);
  CHECK(count(session.call("sandbox.list")) == 1);
}

TEST_CASE("a key is known after a reopen") {
  TemporaryDirectory directory;
  stacyvm::Options options;
  options.state_dir = directory.path() + "/state";
  std::string id;
  {
    stacyvm::Instance vm(options);
    id = vm.session().spawn(keyed("k")).id();
  }
  stacyvm::Instance vm(options);
  stacyvm::Session session = vm.session();
  CHECK(session.spawn(keyed("k")).id() == id);
  CHECK(count(session.call("sandbox.list")) == 0);
  CHECK(code_of([&] { session.sandbox(id); }) == STACYVM_E_NOT_FOUND);
  Spawn other = keyed("k");
  other.owner = "x";
  CHECK(code_of([&] { session.spawn(other); }) == STACYVM_E_CONFLICT);
}

TEST_CASE("labels are replaced, and choose what is listed") {
  stacyvm::Instance vm;
  stacyvm::Session session = vm.session();
  Spawn spawn = named("red", 0);
  spawn.labels = {{"colour", "red"}, {"shape", "round"}};
  spawn.owner = "me";
  Sandbox red = session.spawn(spawn);
  spawn.name = "blue";
  spawn.owner = "you";
  spawn.labels = {{"colour", "blue"}, {"shape", "round"}};
  Sandbox blue = session.spawn(spawn);
  const auto list = [&](const std::string& filter) { return session.call("sandbox.list", {}, filter); };
  CHECK(count(list(R"({"label":["shape=round"]})")) == 2);
  CHECK(has(list(R"({"label":["shape=round","colour=red"]})"), red.id()));
  CHECK(count(list(R"({"label":["shape=round","colour=red"]})")) == 1);
  CHECK(count(list(R"({"label":["colour="]})")) == 0);
  CHECK(count(list(R"({"name":"blue"})")) == 1);
  CHECK(has(list(R"({"owner_id":"you"})"), blue.id()));
  CHECK(count(list(R"({"owner_id":"you"})")) == 1);
  CHECK(count(list(R"({"state":"running"})")) == 2);
  CHECK(count(list(R"({"state":"creating"})")) == 0);

  session.call("sandbox.update", {{"id", red.id()}}, R"({"metadata":{"colour":"green"}})");
  CHECK(has(red.info(), R"("metadata":{"colour":"green"})"));
  CHECK(count(list(R"({"label":["colour=green"]})")) == 1);
  CHECK(count(list(R"({"label":["colour=red"]})")) == 0);
  red.extend(std::chrono::hours(2));
  CHECK(has(red.info(), "green"));
  CHECK(code_of([&] { session.call("sandbox.update", {{"id", red.id()}}); }) == STACYVM_E_INVALID);
  red.destroy();
  CHECK(code_of([&] { session.call("sandbox.update", {{"id", red.id()}}, R"({"metadata":{}})"); }) == STACYVM_E_NOT_FOUND);
}

TEST_CASE("labels and expiry changed at the same time are both kept") {
  Lab lab;
  std::thread extends([&] {
    for (int i = 0; i < 50; ++i) lab.sandbox.extend(std::chrono::hours(3));
  });
  for (int i = 0; i < 50; ++i)
    lab.session.call("sandbox.update", {{"id", lab.sandbox.id()}}, R"({"metadata":{"n":")" + std::to_string(i) + "\"}}");
  extends.join();
  CHECK(has(lab.sandbox.info(), R"("n":"49")"));
  CHECK(has(lab.session.call("sandbox.list"), R"("n":"49")"));  // as it is stored
}

TEST_CASE("a sandbox's timeout is that of commands without one") {
  Spawn spawn = spawn_options();
  spawn.timeout = milliseconds(100);
  Lab lab(spawn);
  CHECK(has(lab.sandbox.info(), R"("timeout":"100ms")"));
  CHECK(lab.sandbox.exec(stacyvm::Exec::program({"sleep", "10"})).reason == STACYVM_REASON_TIMEOUT);
  auto longer = stacyvm::Exec::program({"sleep", "0.3"});
  longer.timeout = milliseconds(5000);
  CHECK(lab.sandbox.exec(longer).reason == STACYVM_REASON_EXITED);
  longer.timeout = milliseconds(-1);
  CHECK(lab.sandbox.exec(longer).reason == STACYVM_REASON_EXITED);
  stacyvm::Stream stream = lab.sandbox.exec_start(stacyvm::Exec::program({"sleep", "10"}));
  stacyvm_chunk chunk;
  STACYVM_INIT(&chunk);
  while (stream.next(chunk) == stacyvm::Stream::Next::chunk) {
  }
  CHECK(stream.exec_result()->reason == STACYVM_REASON_TIMEOUT);
}

TEST_CASE("prune forgets what has ended, but not what is to be kept") {
  TemporaryDirectory directory;
  stacyvm::Options options;
  options.state_dir = directory.path() + "/state";
  stacyvm::Instance vm(options);
  stacyvm::Session session = vm.session();
  Sandbox live = session.spawn(spawn_options());
  session.spawn(spawn_options()).destroy();
  session.spawn(spawn_options()).destroy();
  session.call("sandbox.destroy", {{"id", session.spawn(spawn_options()).id()}, {"keep", "1h"}});
  CHECK(session.call("sandbox.prune", {{"older_than", "1h"}}) == R"({"pruned":0})");
  CHECK(session.call("sandbox.prune") == R"({"pruned":2})");
  CHECK(session.call("sandbox.prune") == R"({"pruned":0})");
  CHECK(sh(live, "echo here") == "here\n");
  CHECK(code_of([&] { session.call("sandbox.destroy", {{"id", live.id()}, {"keep", "721h"}}); }) == STACYVM_E_INVALID);
}
