// A detached instance: its sandboxes outlive the process that made them, and the next owner has them again.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "lab.hpp"

using namespace svm::test;
using stacyvm::Exec, stacyvm::Pairs, stacyvm::Stream;
using std::chrono::milliseconds;

namespace {

constexpr milliseconds kPatience{30'000};

stacyvm::Options in(const std::string& directory, uint64_t flags = STACYVM_OPEN_DETACHED) {
  stacyvm::Options options;
  options.state_dir = directory;
  options.flags = flags;
  return options;
}

Exec background(const std::string& script, uint64_t ring_bytes = 0) {
  Exec exec = Exec::program({"/bin/sh", "-c", script});
  exec.flags = STACYVM_EXEC_BACKGROUND | STACYVM_EXEC_STDIN;
  exec.ring_bytes = ring_bytes;
  return exec;
}

/// All output until `end` is its end, or the stream's; gaps as "<position>".
std::string read_until(Stream& stream, const std::string& end) {
  std::string text;
  stacyvm_chunk chunk;
  while (end.empty() || !text.ends_with(end)) {
    const Stream::Next next = stream.next(chunk, kPatience);
    if (next == Stream::Next::end && end.empty()) break;
    CAPTURE(text);
    REQUIRE(next == Stream::Next::chunk);
    if (chunk.kind == STACYVM_CHUNK_GAP) text += '<' + std::to_string(chunk.position) + '>';
    if (chunk.kind == STACYVM_CHUNK_STDOUT) text.append(static_cast<const char*>(chunk.data), chunk.size);
  }
  return text;
}

/// Another process that opens the directory and does something there; then it tells what that answered, and holds everything.
class Owner {
 public:
  using Act = std::string (*)(stacyvm::Session& session, const std::string& marker);
  Owner(const std::string& directory, const std::string& marker, Act act) {
    int told[2];
    REQUIRE(pipe(told) == 0);
    pid_ = fork();
    REQUIRE(pid_ >= 0);
    if (pid_ == 0) {
      try {
        stacyvm::Instance vm(in(directory));
        stacyvm::Session session = vm.session();
        const std::string line = act(session, marker) + "\n";
        if (write(told[1], line.data(), line.size()) < 0) _exit(1);
        for (;;) pause();
      } catch (const std::exception&) {
        _exit(1);  // the parent is told nothing
      }
    }
    close(told[1]);
    char byte;
    while (read(told[0], &byte, 1) == 1 && byte != '\n') told_ += byte;
    close(told[0]);
    REQUIRE_FALSE(told_.empty());
  }
  ~Owner() { end(); }
  Owner(const Owner&) = delete;
  Owner& operator=(const Owner&) = delete;

  std::string word(size_t n) const {
    std::string text = told_;
    for (; n > 0; --n) text.erase(0, text.find(' ') + 1);
    return text.substr(0, text.find(' '));
  }
  void end() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }

 private:
  pid_t pid_ = -1;
  std::string told_;
};

/// Of the sandbox in which a process has the marker. -1: there is none.
struct Keepers {
  pid_t launcher = -1, agent = -1;  // the parent of its process 1; that process
};
Keepers keepers_of(const std::string& marker) {
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string name = entry.path().filename().string();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    std::string arguments;
    std::getline(std::ifstream(entry.path() / "cmdline"), arguments);
    if (arguments.find(marker) == std::string::npos) continue;
    for (pid_t at = std::stoi(name), below = -1; at > 1;) {
      std::ifstream status("/proc/" + std::to_string(at) + "/status");
      std::string line, program;
      pid_t parent = 0;
      while (std::getline(status, line)) {
        if (line.starts_with("PPid:")) parent = std::stoi(line.substr(5));
      }
      std::getline(std::ifstream("/proc/" + std::to_string(at) + "/cmdline"), program, '\0');
      if (program == "stacyvm-launcher") return {at, below};
      below = at;
      at = parent;
    }
  }
  return {};
}

void kill_launcher_of(const std::string& marker) {
  const pid_t launcher = keepers_of(marker).launcher;
  REQUIRE(launcher > 1);
  REQUIRE(kill(launcher, SIGKILL) == 0);
}

/// Why the sandbox ended, by its event.
std::string ended_reason(stacyvm::Session& session, const std::string& id) {
  Stream events = session.events(0, R"({"types":["sandbox.destroyed"],"sandbox_id":")" + id + "\"}");
  stacyvm_chunk chunk;
  if (events.next(chunk, kPatience) != Stream::Next::chunk) return "";
  const std::string text(static_cast<const char*>(chunk.data), chunk.size), key = "\"reason\":\"";
  const size_t at = text.find(key);
  return at == std::string::npos ? "" : text.substr(at + key.size(), text.find('"', at + key.size()) - at - key.size());
}

/// Leaves nothing behind, whatever a test case did.
struct State {
  TemporaryDirectory directory;
  const std::string path = directory.path() + "/state", marker = "detached-" + std::to_string(getpid()) + "-" + std::to_string(next++);
  ~State() {
    try {
      stacyvm::Instance last(in(path, 0));
    } catch (const std::exception&) {  // the case has failed already
    }
    CHECK(within(10'000, [&] { return processes_with(marker) == 0; }));
  }
  static inline int next = 0;
};

}  // namespace

TEST_CASE("the host is killed: the next owner has its sandboxes, and background commands never stopped") {
  State state;
  Owner owner(state.path, state.marker, [](stacyvm::Session& session, const std::string& marker) {
    stacyvm::Spawn spawn = spawn_options();
    spawn.name = "kept";
    stacyvm::Sandbox sandbox = session.spawn(spawn);
    Stream background_stream = sandbox.exec_start(background("echo one; read x; echo \"got $x\"; exit 5 #" + marker));
    (void)read_until(background_stream, "one\n");
    static Stream foreground = sandbox.exec_start(Exec::program({"/bin/sh", "-c", "echo > /tmp/foreground; sleep 1000; true", marker}));
    while (session.call("exec.list", {{"sandbox_id", sandbox.id()}, {"state", "running"}}).find("foreground") == std::string::npos) {  // written in groups
    }
    while (sh(sandbox, "ls /tmp").find("foreground") == std::string::npos) {
    }
    static Stream upload = sandbox.upload("/tmp/uploaded", "u");
    upload.write("half and ");
    while (sh(sandbox, "cat /tmp/.stacyvm-* 2> /dev/null || true") != "half and ") {
    }
    return sandbox.id() + " " + background_stream.exec_id();
  });
  CHECK(code_of([&] { stacyvm::Instance second(in(state.path)); }) == STACYVM_E_CONFLICT);
  owner.end();

  stacyvm::Instance vm(in(state.path));
  stacyvm::Session session = vm.session();
  stacyvm::Sandbox sandbox = session.sandbox(owner.word(0));
  CHECK(session.sandbox("kept").id() == owner.word(0));
  CHECK(sh(sandbox, "cat /tmp/foreground; echo here") == "\nhere\n");
  CHECK(within(10'000, [&] { return sh(sandbox, "ps ax 2> /dev/null | grep -c '[s]leep 1000' || true") != "1\n"; }));  // its stream went with the host

  const Pairs id = {{"id", sandbox.id()}};
  REQUIRE(session.call("file.staged", id, R"({"path":"/tmp/uploaded","upload":"u"})") == R"({"size":9})");
  Stream rest = sandbox.upload("/tmp/uploaded", "u", 9);
  rest.write("half");
  CHECK(rest.finish());
  CHECK(sandbox.read_file("/tmp/uploaded") == "half and half");

  Stream again = sandbox.attach(owner.word(1));
  CHECK(read_until(again, "one\n") == "one\n");
  again.write("it\n");
  CHECK(read_until(again, "") == "got it\n");
  CHECK(again.exec_result().value().exit_code == 5);
  // The history knows how both ended.
  const auto exec = [&](const std::string& id) { return session.call("exec.get", {{"exec_id", id}}); };
  CHECK(within(10'000, [&] { return exec(owner.word(1)).find("\"exit_code\":5") != std::string::npos; }));
  CHECK(within(10'000, [&] { return session.call("exec.list", {{"sandbox_id", owner.word(0)}, {"state", "running"}}) == "[]"; }));
  CHECK(session.call("exec.list", {{"sandbox_id", owner.word(0)}}).find("\"reason\":\"lost\"") != std::string::npos);
  sandbox.destroy();
}

TEST_CASE("what a background command says while nobody owns it is kept up to its ring; the rest is told as a gap") {
  State state;
  Owner owner(state.path, state.marker, [](stacyvm::Session& session, const std::string& marker) {
    stacyvm::Sandbox sandbox = session.spawn(spawn_options());
    const Stream stream = sandbox.exec_start(background("read x; i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done; echo end; touch /tmp/said; sleep 1000 #" + marker, 4096));
    Stream writer = sandbox.attach(std::string(stream.exec_id()));
    writer.write("go\n");
    return sandbox.id() + " " + std::string(stream.exec_id());
  });
  owner.end();
  stacyvm::Instance vm(in(state.path));
  stacyvm::Session session = vm.session();
  stacyvm::Sandbox sandbox = session.sandbox(owner.word(0));
  // Who attaches before it has all been said gets it as it comes, without a gap.
  REQUIRE(within(60'000, [&] { return sh(sandbox, "test ! -e /tmp/said || echo yes") == "yes\n"; }));
  Stream stream = sandbox.attach(owner.word(1));
  const std::string text = read_until(stream, "end\n");
  CHECK(text.find('<') != std::string::npos);
  CHECK(text.ends_with("line 19998\nline 19999\nend\n"));
}

TEST_CASE("closing lets go, opening again adopts; shutdown ends all") {
  State state;
  std::string id, exec_id;
  {
    stacyvm::Instance vm(in(state.path));
    stacyvm::Session session = vm.session();
    stacyvm::Sandbox sandbox = session.spawn(spawn_options());
    id = sandbox.id();
    Stream stream = sandbox.exec_start(background("echo here; sleep 1000 #" + state.marker));
    exec_id = stream.exec_id();
    (void)read_until(stream, "here\n");
  }
  CHECK(processes_with(state.marker) > 0);
  for (int round = 0; round < 3; ++round) {
    stacyvm::Instance vm(in(state.path));
    stacyvm::Session session = vm.session();
    stacyvm::Sandbox sandbox = session.sandbox(id);
    CHECK(sh(sandbox, "echo again") == "again\n");
    stacyvm::Sandbox another = session.spawn(spawn_options());
    CHECK(sh(another, "echo new") == "new\n");
    another.destroy();
    if (round < 2) continue;
    vm.shutdown(kPatience);
    CHECK(processes_with(state.marker) == 0);
  }
  stacyvm::Instance vm(in(state.path));
  stacyvm::Session session = vm.session();
  CHECK(code_of([&] { session.sandbox(id); }) == STACYVM_E_NOT_FOUND);
}

TEST_CASE("opened without DETACHED, what was found ends with the instance") {
  State state;
  std::string id;
  {
    stacyvm::Instance vm(in(state.path));
    stacyvm::Session session = vm.session();
    stacyvm::Sandbox sandbox = session.spawn(spawn_options());
    id = sandbox.id();
    (void)sandbox.exec_start(background("sleep 1000 #" + state.marker));
  }
  {
    stacyvm::Instance vm(in(state.path, 0));
    stacyvm::Session session = vm.session();
    stacyvm::Sandbox sandbox = session.sandbox(id);
    CHECK(sh(sandbox, "echo adopted") == "adopted\n");
  }
  CHECK(within(10'000, [&] { return processes_with(state.marker) == 0; }));
}

TEST_CASE("without an owner a sandbox ends at its expiry") {
  State state;
  std::string id;
  {
    stacyvm::Instance vm(in(state.path));
    stacyvm::Session session = vm.session();
    stacyvm::Spawn spawn = spawn_options();
    spawn.ttl = milliseconds(1500);
    stacyvm::Sandbox sandbox = session.spawn(spawn);
    id = sandbox.id();
    (void)sandbox.exec_start(background("sleep 1000 #" + state.marker));
    CHECK(within(10'000, [&] { return processes_with(state.marker) > 0; }));
  }
  CHECK(within(20'000, [&] { return processes_with(state.marker) == 0; }));
  stacyvm::Instance vm(in(state.path));
  stacyvm::Session session = vm.session();
  CHECK(code_of([&] { session.sandbox(id); }) == STACYVM_E_NOT_FOUND);
}

TEST_CASE("the launcher is killed: its sandboxes are gone, and lost on record") {
  for (const bool owned : {true, false}) {
    CAPTURE(owned);
    State state;
    std::string id;
    {
      stacyvm::Instance vm(in(state.path));
      stacyvm::Session session = vm.session();
      stacyvm::Sandbox sandbox = session.spawn(spawn_options());
      id = sandbox.id();
      Stream stream = sandbox.exec_start(background("echo here; sleep 1000 #" + state.marker));
      (void)read_until(stream, "here\n");
      if (owned) {
        kill_launcher_of(state.marker);
        CHECK(within(10'000, [&] { return code_of([&] { session.sandbox(id); }) == STACYVM_E_NOT_FOUND; }));
        stacyvm::Sandbox another = session.spawn(spawn_options());  // by another launcher
        CHECK(sh(another, "echo works") == "works\n");
        another.destroy();
      }
    }
    if (!owned) kill_launcher_of(state.marker);
    CHECK(within(10'000, [&] { return processes_with(state.marker) == 0; }));
    stacyvm::Instance vm(in(state.path));
    stacyvm::Session session = vm.session();
    CHECK(code_of([&] { session.sandbox(id); }) == STACYVM_E_NOT_FOUND);
    CHECK(session.call("exec.list", {{"sandbox_id", id}}).find("\"reason\":\"lost\"") != std::string::npos);
    CHECK(ended_reason(session, id) == "lost");
    CHECK(groups_with(id) == 0);
  }
}

TEST_CASE("an agent that hangs while it is adopted costs its sandbox, which is lost on record, and none of the others") {
  State state;
  Owner owner(state.path, state.marker, [](stacyvm::Session& session, const std::string& marker) {
    std::string ids;
    for (const char* which : {"hangs", "lives"}) {
      stacyvm::Sandbox sandbox = session.spawn(spawn_options());
      Stream stream = sandbox.exec_start(background("echo here; sleep 1000 #" + marker + which));
      (void)read_until(stream, "here\n");
      ids += sandbox.id() + " ";
    }
    return ids;
  });
  const pid_t agent = keepers_of(state.marker + "hangs").agent;
  REQUIRE(agent > 1);
  REQUIRE(kill(agent, SIGSTOP) == 0);
  owner.end();

  const std::string hangs = owner.word(0), lives = owner.word(1);
  const auto before = std::chrono::steady_clock::now();
  stacyvm::Instance vm(in(state.path));
  CHECK(std::chrono::steady_clock::now() - before < milliseconds(20'000));  // it is given 10 s
  stacyvm::Session session = vm.session();
  CHECK(code_of([&] { session.sandbox(hangs); }) == STACYVM_E_NOT_FOUND);
  CHECK(processes_with(state.marker + "hangs") == 0);
  CHECK(groups_with(hangs) == 0);
  CHECK(ended_reason(session, hangs) == "lost");
  stacyvm::Sandbox sandbox = session.sandbox(lives);
  CHECK(sh(sandbox, "echo adopted") == "adopted\n");
  CHECK(processes_with(state.marker + "lives") > 0);
  vm.shutdown(kPatience);
}

TEST_CASE("DETACHED needs a directory, and one that may be written") {
  stacyvm::Options options;
  options.flags = STACYVM_OPEN_DETACHED;
  CHECK(code_of([&] { stacyvm::Instance vm(options); }) == STACYVM_E_INVALID);
  State state;
  CHECK(code_of([&] { stacyvm::Instance vm(in(state.path, STACYVM_OPEN_DETACHED | STACYVM_OPEN_READ_ONLY)); }) == STACYVM_E_INVALID);
}
