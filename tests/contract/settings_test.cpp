// What whoever opens an instance decides for all who use it.
#include <atomic>
#include <cstdlib>
#include <thread>
#include <vector>

#include "lab.hpp"

using namespace svm::test;
using stacyvm::Exec, stacyvm::Sandbox;
using std::chrono::milliseconds;

namespace {

stacyvm::Options settings(const std::string& json) {
  stacyvm::Options options;
  options.settings = json;
  return options;
}

std::string details(int32_t code, const std::function<void()>& action) {
  CHECK(code_of(action) == code);
  return details_of(action);
}

}  // namespace

TEST_CASE("settings that are wrong are told at open, by their path") {
  CHECK(details(STACYVM_E_INVALID, [] { stacyvm::Instance vm(settings(R"({"defaults":{"ttl":"1h","max_ttl":"30m"}})")); }) == R"({"field":"defaults.ttl"})");
  CHECK(details(STACYVM_E_INVALID, [] { stacyvm::Instance vm(settings(R"({"defaults":{"nonsense":1}})")); }) == R"({"field":"defaults.nonsense"})");
  CHECK(details(STACYVM_E_INVALID, [] { stacyvm::Instance vm(settings(R"({"defaults":{"provider":"none"}})")); }) == R"({"field":"defaults.provider"})");
  CHECK(details(STACYVM_E_INVALID, [] { stacyvm::Instance::open_begin(settings(R"({"images":{"aliases":{"a":1}}})")); }) == R"({"field":"images.aliases"})");
}

TEST_CASE("what a spawn does not say is the settings'") {
  Lab lab(spawn_options(), settings(R"({"defaults":{"memory_mb":256,"disk_mb":64,"vcpus":0.5,"pids":40,"ttl":"10m"}})"));
  const std::string info = lab.sandbox.info();
  for (const char* part : {R"("memory_mb":256)", R"("disk_mb":64)", R"("vcpus":0.5)", R"("pids":40)"}) CHECK_MESSAGE(info.find(part) != info.npos, info);
}

TEST_CASE("no sandbox lives longer than max_ttl, by spawn or by extend") {
  stacyvm::Instance vm(settings(R"({"defaults":{"max_ttl":"10m"}})"));
  stacyvm::Session session = vm.session();
  auto spawn = spawn_options();
  spawn.ttl = milliseconds(600'001);
  CHECK(details(STACYVM_E_LIMIT, [&] { session.spawn(spawn); }) == R"({"field":"ttl","limit":"10m0s"})");
  spawn.ttl = milliseconds(600'000);
  Sandbox sandbox = session.spawn(spawn);
  const auto extend = [&](const char* ttl) { return code_of([&] { session.call("sandbox.extend", {{"id", sandbox.id()}}, std::string(R"({"ttl":")") + ttl + "\"}"); }); };
  CHECK(extend("10m") == STACYVM_OK);
  CHECK(extend("10m0.001s") == STACYVM_E_LIMIT);
  CHECK(extend("25h") == STACYVM_E_LIMIT);
  CHECK(extend("-1s") == STACYVM_E_INVALID);
  CHECK(extend("0s") == STACYVM_E_INVALID);
}

TEST_CASE("no command runs longer than max_exec_timeout, and none without a timeout") {
  stacyvm::Instance vm(settings(R"({"defaults":{"default_exec_timeout":"300ms","max_exec_timeout":"20s"}})"));
  stacyvm::Session session = vm.session();
  auto spawn = spawn_options();
  spawn.timeout = milliseconds(20'001);
  CHECK(details(STACYVM_E_LIMIT, [&] { session.spawn(spawn); }) == R"({"field":"timeout","limit":"20s"})");
  Sandbox sandbox = session.spawn(spawn_options());
  CHECK(sandbox.exec(Exec::sh("sleep 600")).reason == STACYVM_REASON_TIMEOUT);
  Exec longer = Exec::sh("sleep 0.6");
  longer.timeout = milliseconds(20'000);
  CHECK(sandbox.exec(longer).reason == STACYVM_REASON_EXITED);
  for (const int64_t refused : {int64_t{20'001}, int64_t{-1}}) {
    longer.timeout = milliseconds(refused);
    CHECK(code_of([&] { sandbox.exec(longer); }) == STACYVM_E_LIMIT);
    CHECK(code_of([&] { sandbox.exec_start(longer); }) == STACYVM_E_LIMIT);
  }
}

TEST_CASE("so many sandboxes and not one more, however many ask at once; room that is given back is there again") {
  stacyvm::Instance vm(settings(R"({"defaults":{"max_sandboxes":3}})"));
  stacyvm::Session session = vm.session();
  std::atomic<int> spawned = 0, refused = 0;
  std::vector<std::string> ids(8);
  std::vector<std::thread> threads;
  for (size_t i = 0; i < ids.size(); ++i)
    threads.emplace_back([&, i] {
      try {
        ids[i] = session.spawn(spawn_options()).id();
        ++spawned;
      } catch (const stacyvm::Error& error) {
        if (error.code() == STACYVM_E_LIMIT && error.details() == R"({"field":"max_sandboxes","limit":3})" && error.http_status() == 429) ++refused;
      }
    });
  for (std::thread& thread : threads) thread.join();
  CHECK(spawned == 3);
  CHECK(refused == 5);
  CHECK(session.call("sandbox.admission") == R"({"allowed":false,"queueable":false,"reason":"max_sandboxes","active_sandboxes":3,"max_sandboxes":3,"max_ttl":"24h0m0s"})");
  for (const std::string& id : ids) {
    if (id.empty()) continue;
    session.sandbox(id).destroy();
    break;
  }
  CHECK_NOTHROW(session.spawn(spawn_options()));
}

TEST_CASE("an owner's share; an admission starts nothing") {
  stacyvm::Instance vm(settings(R"({"defaults":{"max_sandboxes_per_owner":1,"max_ttl":"1h"}})"));
  stacyvm::SessionOptions who;
  who.owner = "ann";
  stacyvm::Session ann = vm.session(who), session = vm.session();
  CHECK(ann.call("sandbox.admission", {}, R"({"image":"host"})") ==
        R"({"allowed":true,"queueable":false,"active_sandboxes":0,"max_sandboxes":10000,"max_owner_sandboxes":1,"max_ttl":"1h0m0s"})");
  Sandbox first = ann.spawn(spawn_options());
  CHECK(details(STACYVM_E_LIMIT, [&] { ann.spawn(spawn_options()); }) == R"({"field":"max_sandboxes_per_owner","limit":1})");
  CHECK(ann.call("sandbox.admission") ==
        R"({"allowed":false,"queueable":false,"reason":"max_sandboxes_per_owner","active_sandboxes":1,"max_sandboxes":10000,"active_owner_sandboxes":1,"max_owner_sandboxes":1,"max_ttl":"1h0m0s"})");
  CHECK(session.call("sandbox.admission", {}, R"({"ttl":"61m"})").starts_with(R"({"allowed":false,"queueable":false,"reason":"max_ttl")"));
  CHECK(code_of([&] { session.call("sandbox.admission", {}, R"({"provider":"none"})"); }) == STACYVM_E_NOT_FOUND);
  CHECK(code_of([&] { session.call("sandbox.admission", {}, R"({"ttl":"soon"})"); }) == STACYVM_E_INVALID);
  auto spawn = spawn_options();
  spawn.owner = "bob";
  Sandbox of_bob = session.spawn(spawn);
  Sandbox nobodys = session.spawn(spawn_options()), also_nobodys = session.spawn(spawn_options());
  first.destroy();
  CHECK_NOTHROW(ann.spawn(spawn_options()));
}

TEST_CASE("an alias is shown as it was written, also to callers that may name no path; what it stands for is not told") {
  TemporaryDirectory directory;
  const std::string root = directory.path() + "/root";
  REQUIRE(std::system(("mkdir -p " + root + "/etc && echo marker > " + root + "/etc/marker").c_str()) == 0);
  stacyvm::Instance vm(settings(R"({"defaults":{"image":"mine"},"images":{"aliases":{"alpine:latest":"host","mine":")" + root + R"(","gone":")" + directory.path() + R"(/gone"}}})"));
  stacyvm::SessionOptions who;
  who.flags = STACYVM_SESSION_REMOTE;
  stacyvm::Session remote = vm.session(who);
  const auto spawn = [&](const char* image) {
    auto options = spawn_options();
    options.image = image;
    return remote.spawn(options);
  };
  Sandbox alpine = spawn("alpine:latest");
  CHECK(sh(alpine, "echo $((6 * 7))") == "42\n");
  CHECK(alpine.info().find(R"("image":"alpine:latest")") != std::string::npos);
  CHECK(spawn("alpine").info().find(R"("image":"alpine")") != std::string::npos);
  for (const char* image : {"mine", ""}) {
    Sandbox own = spawn(image);
    CHECK(own.read_file("/etc/marker") == "marker\n");
    CHECK(own.info().find(R"("image":"mine")") != std::string::npos);
    CHECK(own.info().find(directory.path()) == std::string::npos);
  }
  try {
    spawn("gone");
    FAIL("there is nothing");
  } catch (const stacyvm::Error& error) {
    CHECK(error.code() == STACYVM_E_UNAVAILABLE);
    CHECK(std::string(error.what()).find("gone") != std::string::npos);
    CHECK((std::string(error.what()) + error.details()).find(directory.path()) == std::string::npos);
  }
  CHECK(code_of([&] { spawn(root.c_str()); }) == STACYVM_E_FORBIDDEN);
  for (const char* other : {"alpine:3", "alpine@latest", "mine:latest", "a/alpine"}) CHECK_MESSAGE(code_of([&] { spawn(other); }) == STACYVM_E_UNSUPPORTED, std::string(other));
}
