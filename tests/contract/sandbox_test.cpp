// The life of sandboxes: made, found, extended, expired, destroyed; and what may be asked of one, at each bound and one beyond.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <barrier>
#include <cstdlib>
#include <mutex>
#include <set>
#include <thread>

#include "lab.hpp"

using namespace svm::test;
using stacyvm::Sandbox, stacyvm::Spawn;
using std::chrono::milliseconds;

namespace {

constexpr uint64_t kMiB = 1 << 20;
constexpr milliseconds kDay{24ll * 60 * 60 * 1000};

Spawn best_effort() {
  Spawn spawn = spawn_options();
  spawn.flags = STACYVM_SPAWN_BEST_EFFORT;
  return spawn;
}

int32_t spawn_code(stacyvm::Session& session, const Spawn& spawn) {
  return code_of([&] { session.spawn(spawn).destroy(); });
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != text.npos; }

}  // namespace

TEST_CASE("what is installed on the host meanwhile does not keep sandboxes from starting") {
  constexpr const char* kCache = "/etc/ld.so.cache";
  struct stat before {}, after {};
  Lab lab;
  // As every installation of a library does: the linker cache is another file then.
  const bool renewed = ::stat(kCache, &before) == 0 && ::geteuid() == 0 && std::system("/sbin/ldconfig") == 0 && ::stat(kCache, &after) == 0;
  SVM_SKIP_UNLESS(renewed && before.st_ino != after.st_ino, "this user cannot renew the host's linker cache");
  stacyvm::Sandbox next = lab.session.spawn(spawn_options());
  CHECK(sh(next, "cat /etc/ld.so.cache") == read_host_file(kCache));
  REQUIRE(std::system("/sbin/ldconfig") == 0);
  CHECK(sh(lab.sandbox, "echo it goes on") == "it goes on\n");
  stacyvm::Sandbox last = lab.session.spawn(spawn_options());
  CHECK(sh(last, "cat /etc/ld.so.cache") == read_host_file(kCache));
}

TEST_CASE("spawned, listed, found, extended, destroyed") {
  auto spawn = spawn_options();
  spawn.owner = "me";
  spawn.labels = {{"purpose", "test"}};
  Lab lab(spawn);
  const std::string id = lab.sandbox.id();
  const std::string info = lab.sandbox.info();
  CAPTURE(info);
  for (const std::string& part : {"\"id\":\"" + id + '"', std::string(R"("state":"running")"), "\"provider\":\"" + provider() + '"', std::string(R"("image":"host")"),
                                  std::string(R"("owner_id":"me")"), std::string(R"("purpose":"test")"), std::string(R"("user":"user")"),
                                  std::string(R"("network":"none")"), std::string(R"("profile":"default")"), std::string(R"("pids":256)"),
                                  std::string(R"("memory_mb":1024)"), std::string(R"("disk_mb":1024)")})
    CHECK(has(info, part));
  CHECK(lab.session.call("sandbox.get", {{"id", id}}) == info);
  Sandbox second = lab.session.spawn(spawn_options());
  const std::string list = lab.session.call("sandbox.list");
  CHECK(list.find(second.id()) < list.find(id));  // newest first
  CHECK(list.find(id) != list.npos);
  const std::string page = lab.session.call("sandbox.list", {{"limit", "1"}});
  CHECK(has(page, second.id()));
  CHECK_FALSE(has(page, id));
  CHECK(has(lab.session.call("sandbox.list", {{"after", second.id()}}), id));

  Sandbox again = lab.session.sandbox(id);
  again.extend(kDay);
  CHECK(again.info() != info);
  CHECK(code_of([&] { again.extend(kDay + milliseconds(1)); }) == STACYVM_E_LIMIT);
  CHECK(code_of([&] { again.extend(milliseconds(0)); }) == STACYVM_E_INVALID);
  again.destroy();
  for (Sandbox* handle : {&again, &lab.sandbox}) {
    CHECK(code_of([&] { handle->info(); }) == STACYVM_E_NOT_FOUND);
    CHECK(code_of([&] { handle->extend(milliseconds(1000)); }) == STACYVM_E_NOT_FOUND);
    CHECK(code_of([&] { handle->destroy(); }) == STACYVM_E_NOT_FOUND);
    CHECK(code_of([&] { handle->exec(stacyvm::Exec::sh("true")); }) == STACYVM_E_NOT_FOUND);
    CHECK(code_of([&] { handle->read_file("/etc/passwd"); }) == STACYVM_E_NOT_FOUND);
  }
  CHECK(code_of([&] { lab.session.sandbox(id); }) == STACYVM_E_NOT_FOUND);
  CHECK_FALSE(has(lab.session.call("sandbox.list"), id));
  CHECK(sh(second, "echo untouched") == "untouched\n");
}

TEST_CASE("a sandbox ends when its time is over, and not before") {
  Lab lab(spawn_options());
  // A sandbox's time counts from its making: on a slow machine, long enough for it to be made and extended.
  const auto start = std::chrono::steady_clock::now();
  lab.session.spawn(spawn_options()).destroy();
  const auto spawn_time = std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - start);
  auto spawn = spawn_options();
  spawn.ttl = milliseconds(300) + 5 * spawn_time;
  Sandbox brief = lab.session.spawn(spawn);
  Sandbox extended = lab.session.spawn(spawn);
  extended.extend(kDay);
  const auto beyond = spawn.ttl + milliseconds(1200);
  stacyvm::Stream running = extended.exec_start(stacyvm::Exec::sh("sleep " + std::to_string(static_cast<double>(beyond.count()) / 1000) + "; echo done"));
  CHECK(within(static_cast<int>(spawn.ttl.count()) + 2000, [&] { return code_of([&] { brief.info(); }) == STACYVM_E_NOT_FOUND; }));
  CHECK(code_of([&] { brief.exec(stacyvm::Exec::sh("true")); }) == STACYVM_E_NOT_FOUND);
  stacyvm_chunk chunk;
  while (running.next(chunk, milliseconds(30'000)) == stacyvm::Stream::Next::chunk) {
  }
  CHECK(running.exec_result()->exit_code == 0);
}

TEST_CASE("every bound of a spawn, at it and one beyond") {
  Lab lab;
  const auto check = [&](const char* what, auto set, int32_t expected) {
    CAPTURE(std::string(what));
    Spawn spawn = best_effort();
    set(spawn);
    CHECK(spawn_code(lab.session, spawn) == expected);
  };
  check("ttl, a day", [](Spawn& s) { s.ttl = kDay; }, STACYVM_OK);
  check("ttl, a day and a millisecond", [](Spawn& s) { s.ttl = kDay + milliseconds(1); }, STACYVM_E_LIMIT);
  check("ttl, none", [](Spawn& s) { s.ttl = milliseconds(-1); }, STACYVM_E_INVALID);
  check("memory, least", [](Spawn& s) { s.memory_bytes = 16 * kMiB; }, STACYVM_OK);
  check("memory, less", [](Spawn& s) { s.memory_bytes = 16 * kMiB - 1; }, STACYVM_E_INVALID);
  check("memory, more", [](Spawn& s) { s.memory_bytes = (uint64_t{1} << 44) + 1; }, STACYVM_E_INVALID);
  check("disk, least", [](Spawn& s) { s.disk_bytes = 1 * kMiB; }, STACYVM_OK);
  check("disk, less", [](Spawn& s) { s.disk_bytes = 1 * kMiB - 1; }, STACYVM_E_INVALID);
  check("disk, more than memory", [](Spawn& s) { s.memory_bytes = 32 * kMiB; s.disk_bytes = 32 * kMiB + 1; }, STACYVM_E_INVALID);
  check("disk, as much as memory", [](Spawn& s) { s.memory_bytes = s.disk_bytes = 32 * kMiB; }, STACYVM_OK);
  check("processes, least", [](Spawn& s) { s.pids = 4; }, STACYVM_OK);
  check("processes, fewer", [](Spawn& s) { s.pids = 3; }, STACYVM_E_INVALID);
  check("processes, most", [](Spawn& s) { s.pids = 32768; }, STACYVM_OK);
  check("processes, more", [](Spawn& s) { s.pids = 32769; }, STACYVM_E_INVALID);
  check("processors, least", [](Spawn& s) { s.milli_cpus = 10; }, STACYVM_OK);
  check("processors, less", [](Spawn& s) { s.milli_cpus = 9; }, STACYVM_E_INVALID);
  check("processors, more", [](Spawn& s) { s.milli_cpus = 1024 * 1000 + 1; }, STACYVM_E_INVALID);
  check("labels, most", [](Spawn& s) { for (int i = 0; i < 64; ++i) s.labels.emplace_back(std::to_string(i), std::string(2048, 'v')); }, STACYVM_OK);
  check("labels, more", [](Spawn& s) { for (int i = 0; i < 65; ++i) s.labels.emplace_back(std::to_string(i), ""); }, STACYVM_E_INVALID);
  check("label, longer", [](Spawn& s) { s.labels = {{"k", std::string(2049, 'v')}}; }, STACYVM_E_INVALID);
  check("owner, longest", [](Spawn& s) { s.owner = std::string(128, 'o'); }, STACYVM_OK);
  check("owner, longer", [](Spawn& s) { s.owner = std::string(129, 'o'); }, STACYVM_E_INVALID);
  check("profile, debug", [](Spawn& s) { s.profile = "debug"; }, STACYVM_OK);
  check("profile, unknown", [](Spawn& s) { s.profile = "open"; }, STACYVM_E_INVALID);
  check("network, unknown", [](Spawn& s) { s.network = "host"; }, STACYVM_E_INVALID);
  check("user, a number", [](Spawn& s) { s.user = "65534"; }, STACYVM_OK);
  check("user, beyond", [](Spawn& s) { s.user = "65535"; }, STACYVM_E_INVALID);
  check("provider, unknown", [](Spawn& s) { s.provider = "none"; }, STACYVM_E_NOT_FOUND);
  check("flag, unknown", [](Spawn& s) { s.flags = uint64_t{1} << 63; }, STACYVM_E_INVALID);
  CHECK(lab.session.call("sandbox.list", {{"limit", "1"}}) == lab.session.call("sandbox.list"));  // nothing was left behind
}

TEST_CASE("a limit that was asked for is enforced, or is an error that names it") {
  Lab lab;
  const std::pair<const char*, std::function<void(Spawn&)>> limits[] = {
      {"memory", [](Spawn& s) { s.memory_bytes = 64 * kMiB; s.disk_bytes = 16 * kMiB; }},
      {"cpu", [](Spawn& s) { s.milli_cpus = 500; }},
      {"pids", [](Spawn& s) { s.pids = 32; }},
      {"disk_limit", [](Spawn& s) { s.disk_bytes = 16 * kMiB; }},
  };
  for (const auto& [name, set] : limits) {
    CAPTURE(std::string(name));
    Spawn spawn = spawn_options();
    set(spawn);
    if (enforces(lab.sandbox, name)) {
      Sandbox sandbox = lab.session.spawn(spawn);
      CHECK(enforces(sandbox, name));
    } else {
      CHECK(spawn_code(lab.session, spawn) == STACYVM_E_UNSUPPORTED);
      CHECK(has(details_of([&] { lab.session.spawn(spawn); }), name));
      spawn.flags = STACYVM_SPAWN_BEST_EFFORT;
      CHECK(spawn_code(lab.session, spawn) == STACYVM_OK);
    }
  }
  for (const char* always : {"user_namespace", "mount_namespace", "pid_namespace", "net_namespace", "ipc_namespace", "private_root", "disk_limit",
                             "inode_limit", "no_new_privs", "capabilities", "seccomp", "fds_closed", "undumpable"})
    CHECK(enforces(lab.sandbox, always));
}

TEST_CASE("as many processes as the limit says") {
  auto spawn = best_effort();
  spawn.pids = 16;
  Lab lab(spawn);
  SVM_SKIP_UNLESS(enforces(lab.sandbox, "pids"), "this host cannot limit processes");
  // The shell is one of them.
  CHECK(lab.sandbox.exec(stacyvm::Exec::sh("for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do sleep 2 & done; wait")).exit_code == 0);
  CHECK(lab.sandbox.exec(stacyvm::Exec::sh("for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do sleep 2 & done; wait")).exit_code != 0);
}

TEST_CASE("40 sandboxes from 8 threads at once") {
  Lab lab;
  std::mutex mutex;
  std::set<std::string> ids, maps;
  std::atomic<unsigned> good{0}, destroyed{0};
  std::array<std::thread, 8> threads;
  std::barrier all_seen(static_cast<std::ptrdiff_t>(threads.size()));  // only then may any end, and its ids be another's
  for (size_t t = 0; t < threads.size(); ++t)
    threads[t] = std::thread([&, t] {
      std::vector<Sandbox> mine;
      try {
        for (size_t i = 0; i < 5; ++i) mine.push_back(lab.session.spawn(spawn_options()));
        for (Sandbox& sandbox : mine) {
          const std::string text = "thread " + std::to_string(t);
          sandbox.write_file("/tmp/who", text);
          if (sandbox.exec(stacyvm::Exec::sh("cat /tmp/who")).out == text) ++good;
          const std::string map = sandbox.exec(stacyvm::Exec::sh("cat /proc/self/uid_map")).out;
          const std::lock_guard lock(mutex);
          ids.insert(sandbox.id());
          maps.insert(map);
        }
      } catch (const stacyvm::Error& error) {
        const std::lock_guard lock(mutex);
        ids.insert(error.what());
      }
      all_seen.arrive_and_wait();
      for (Sandbox& sandbox : mine)
        if (code_of([&] { sandbox.destroy(); }) == STACYVM_OK) ++destroyed;
    });
  for (std::thread& thread : threads) thread.join();
  CHECK(good == 40);
  CHECK(destroyed == 40);
  CHECK(ids.size() == 40);
  if (enforces(lab.sandbox, "id_range")) CHECK(maps.size() == 40);  // no two share their host ids
}

TEST_CASE("errors have a code, its word, and the field that is wrong") {
  Lab lab;
  const auto fails = [&](const std::string& op, const std::string& body, int32_t code, const char* word, const std::string& field) {
    CAPTURE(op);
    CAPTURE(body);
    bool failed = false;
    try {
      lab.session.call(op, {}, body);
    } catch (const stacyvm::Error& error) {
      failed = true;
      CHECK(error.code() == code);
      CHECK(error.name() == word);
      CHECK(std::string(error.what()).find('\n') == std::string::npos);
      if (!field.empty()) CHECK(has(error.details(), "\"field\":\"" + field + '"'));
    }
    CHECK(failed);
  };
  fails("sandbox.spawn", R"({"ttl":"25h"})", STACYVM_E_LIMIT, "RESOURCE_LIMIT", "ttl");
  fails("sandbox.spawn", R"({"memory_mb":15})", STACYVM_E_INVALID, "BAD_REQUEST", "memory_mb");
  fails("sandbox.spawn", R"({"admin":true})", STACYVM_E_INVALID, "BAD_REQUEST", "admin");
  fails("sandbox.spawn", R"({"tenant_id":"x"})", STACYVM_E_INVALID, "BAD_REQUEST", "tenant_id");
  fails("sandbox.spawn", R"({"ttl":"1h","ttl":"2h"})", STACYVM_E_INVALID, "BAD_REQUEST", "");
  fails("sandbox.spawn", R"({"ttl":"1h"} x)", STACYVM_E_INVALID, "BAD_REQUEST", "");
  fails("sandbox.spawn", "[]", STACYVM_E_INVALID, "BAD_REQUEST", "");
  fails("sandbox.get", "", STACYVM_E_INVALID, "BAD_REQUEST", "id");
  fails("sandbox.get", R"({"id":"sb-none"})", STACYVM_E_NOT_FOUND, "NOT_FOUND", "");
  fails("sandbox.none", "", STACYVM_E_NOT_FOUND, "NOT_FOUND", "");
  fails("sandbox.spawn", R"({"image":"example.org/none:1"})", STACYVM_E_UNSUPPORTED, "UNSUPPORTED", "image");
}
