#include "load.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <fstream>
#include <optional>
#include <random>
#include <thread>

#include "core/fd.hpp"

namespace svm::test {
namespace {

using stacyvm::Exec, stacyvm::Sandbox, stacyvm::Session, stacyvm::Stream;
using std::chrono::milliseconds;

constexpr unsigned kWorkers = 3;
constexpr unsigned kMostActs = 8;              // with one sandbox
constexpr unsigned kMostKept = 3;              // sandboxes that a worker leaves running
constexpr milliseconds kPatience{20'000};
constexpr std::string_view kWhole = " .";        // ends a line of the record
constexpr unsigned kLifeSeconds = 600;         // after which whoever hangs is ended

class Record {
 public:
  explicit Record(const std::string& path) : file_(::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC)) {
    if (!file_) _exit(1);
  }
  /// One write a line, whichever thread says it. A kill may cut a write where a page of the file ends: a line that is not whole was not said.
  void say(const char* kind, const std::string& text) const {
    const std::string line = '\n' + std::string(kind) + ' ' + text + std::string(kWhole);
    if (::write(file_.get(), line.data(), line.size()) != static_cast<ssize_t>(line.size())) _exit(1);
  }
  void failed(const char* during, const stacyvm::Error& error) const {
    // A launcher, an agent or a command may be killed at any moment, and what it ran is then gone. Nothing else happens here.
    bool expected = false;
    for (const int32_t code : {STACYVM_E_CLOSED, STACYVM_E_UNAVAILABLE, STACYVM_E_NOT_FOUND, STACYVM_E_CONFLICT, STACYVM_E_IO}) expected |= error.code() == code;
    say(expected ? "failure" : "wrong", std::string(during) + ": " + error.name() + ' ' + error.what() + ' ' + error.details());
  }

 private:
  Fd file_;
};

bool has(const std::string& text, const std::string& part) { return text.find(part) != text.npos; }

std::string read_all(Stream& stream) {
  std::string text;
  stacyvm_chunk chunk;
  for (Stream::Next next; (next = stream.next(chunk, kPatience)) != Stream::Next::end;) {
    if (next == Stream::Next::again) throw std::runtime_error("nothing comes");
    if (chunk.kind == STACYVM_CHUNK_STDOUT) text.append(static_cast<const char*>(chunk.data), chunk.size);
  }
  return text;
}

/// Spawns, works with what it has, and destroys most of it.
class Worker {
 public:
  Worker(Session& session, const Load& load, const Record& record, unsigned number)
      : session_(session), load_(load), record_(record), random_(load.seed + number), name_("k" + std::to_string(load.seed) + "-" + std::to_string(number) + "-") {}

  void run() {
    for (;;) {
      try {
        live();
      } catch (const stacyvm::Error& error) {
        record_.failed("life", error);
        if (code_of([&] { (void)session_.call("sandbox.list"); }) != STACYVM_OK) return;  // the launcher could not be started again
      } catch (const std::exception& error) {
        record_.say("wrong", error.what());
      }
    }
  }

 private:
  void expect(bool good, const char* what) const {
    if (!good) record_.say("wrong", what);
  }

  void live() {
    const std::string key = name_ + std::to_string(next_++);
    Sandbox sandbox = session_.spawn(keyed(key));
    record_.say("sandbox", sandbox.id() + ' ' + key);
    try {
      mark(sandbox);
      static constexpr std::array kActs{&Worker::command, &Worker::output, &Worker::terminal, &Worker::files, &Worker::tree, &Worker::watch, &Worker::dial, &Worker::labels};
      for (unsigned acts = static_cast<unsigned>(random_() % (kMostActs + 1)); acts > 0; --acts) (this->*kActs[random_() % kActs.size()])(sandbox);
    } catch (const stacyvm::Error& error) {
      record_.failed("act", error);
    }
    if (kept_ < kMostKept && random_() % 3 == 0) {
      ++kept_;
      return;
    }
    record_.say("ending", sandbox.id());
    if (random_() % 2 == 0)
      sandbox.destroy();
    else
      (void)session_.call("sandbox.destroy", {{"id", sandbox.id()}}, R"({"keep":"1h"})");
    record_.say("destroyed", sandbox.id());
  }

  /// A command in the background by which the sandbox's processes are known.
  void mark(Sandbox& sandbox) {
    Exec exec = Exec::program({"/bin/sh", "-c", "echo up; sleep 1000; true", load_.marker + sandbox.id()});
    exec.flags = STACYVM_EXEC_BACKGROUND;
    const std::string id = sandbox.exec_start(exec).exec_id();
    Stream again = sandbox.attach(id);
    stacyvm_chunk chunk;
    if (again.next(chunk, kPatience) != Stream::Next::chunk) return record_.say("wrong", "a background command says nothing");
    if (chunk.kind != STACYVM_CHUNK_STDOUT) return;  // it was killed
    expect(std::string(static_cast<const char*>(chunk.data), chunk.size) == "up\n", "the output of a background command");
    if (!has(session_.call("exec.get", {{"exec_id", id}}), "\"background\":true")) return record_.say("wrong", "a background command is not in the history");
    record_.say("background", id + ' ' + sandbox.id());
  }

  /// How it ended, once the history knows as well.
  std::string ended(Stream& stream) {
    const std::string info = session_.call("exec.get", {{"exec_id", stream.exec_id()}}), reason = text_member(info, "reason");
    expect(has(info, "\"ended_at\""), "a command that has ended runs in the history");
    record_.say("exec", stream.exec_id() + ' ' + reason);
    return reason;
  }

  void command(Sandbox& sandbox) {
    Exec exec = Exec::sh("echo $((6 * 7)); exit 3");
    exec.flags = STACYVM_EXEC_MERGE;
    Stream stream = sandbox.exec_start(exec);
    const std::string out = read_all(stream);
    if (ended(stream) == "exited") expect(out == "42\n" && stream.exec_result().value().exit_code == 3, "the answer of a command");
  }

  void output(Sandbox& sandbox) {
    const stacyvm::ExecResult result = sandbox.exec(Exec::program({"/bin/sh", "-c", "head -c 300000 /dev/zero"}));
    if (result.reason == STACYVM_REASON_EXITED && result.exit_code == 0) expect(result.out.size() == 300'000, "the output of a command");
  }

  void terminal(Sandbox& sandbox) {
    Exec exec = Exec::sh("stty -echo; read x; echo got $x");
    exec.flags = STACYVM_EXEC_PTY;
    Stream stream = sandbox.exec_start(exec);
    stream.resize(40, 100);
    stream.write("it\n");
    const std::string out = read_all(stream);
    if (ended(stream) == "exited" && stream.exec_result().value().exit_code == 0) expect(has(out, "got it"), "what a terminal shows");
  }

  void files(Sandbox& sandbox) {
    const std::string bytes(random_() % 200'000, 'f');
    sandbox.write_file("/tmp/d/f", bytes);
    expect(sandbox.read_file("/tmp/d/f") == bytes, "a file");
    (void)session_.call("file.move", {{"id", sandbox.id()}}, R"({"old_path":"/tmp/d/f","new_path":"/tmp/d/g"})");
    expect(sandbox.stat("/tmp/d/g").size == bytes.size(), "the size of a file");
    (void)session_.call("file.remove", {{"id", sandbox.id()}}, R"({"path":"/tmp/d","recursive":true})");
  }

  void tree(Sandbox& sandbox) {
    for (const char* name : {"a", "b/c", "b/d"}) sandbox.write_file(std::string("/tmp/tree/") + name, name);
    const Fd archive(::memfd_create("tree", MFD_CLOEXEC));
    sandbox.get_file("/tmp/tree", archive.get(), STACYVM_FILE_TAR).wait();
    if (::lseek(archive.get(), 0, SEEK_SET) != 0) _exit(1);
    sandbox.put_file("/tmp/copy", archive.get(), STACYVM_FILE_TAR).wait();
    expect(sandbox.read_file("/tmp/copy/b/d") == "b/d", "a file of a tree");
  }

  void watch(Sandbox& sandbox) {
    Stream stream = sandbox.watch("/tmp");
    sandbox.write_file("/tmp/seen", "x");
    stacyvm_chunk chunk;
    std::string seen;
    while (!has(seen, "/tmp/seen")) {
      const Stream::Next next = stream.next(chunk, kPatience);
      if (next != Stream::Next::chunk) return record_.say("wrong", "a change is not seen");
      seen.assign(static_cast<const char*>(chunk.data), chunk.size);
    }
  }

  void dial(Sandbox& sandbox) {
    if (::access("/usr/bin/python3", X_OK) != 0) return;
    Exec exec = Exec::program({"/usr/bin/python3", "-c", "import socket\ns=socket.create_server(('127.0.0.1',8080))\nc,_=s.accept()\nc.sendall(c.recv(9))\nc.close()"});
    exec.flags = STACYVM_EXEC_MERGE;
    Stream server = sandbox.exec_start(exec);
    try {
      (void)session_.call("port.wait", {{"id", sandbox.id()}}, R"({"port":8080,"timeout":"20s"})");
    } catch (const stacyvm::Error& error) {
      if (error.code() != STACYVM_E_TIMEOUT) throw;
      expect(ended(server) == "signalled", "a port is not listened on");
      return;
    }
    Stream stream = sandbox.dial(8080);
    stream.write("dialled");
    const std::string out = stream.read_all();
    (void)read_all(server);
    if (ended(server) == "exited") expect(out == "dialled", "what a port answers");
  }

  void labels(Sandbox& sandbox) {
    (void)session_.call("sandbox.update", {{"id", sandbox.id()}}, R"({"metadata":{"turn":"second"}})");
    sandbox.extend(milliseconds(3'600'000));
    expect(has(sandbox.info(), "second"), "labels");
    (void)session_.call("sandbox.stats", {{"id", sandbox.id()}});
  }

  Session& session_;
  const Load& load_;
  const Record& record_;
  std::minstd_rand random_;
  const std::string name_;
  unsigned next_ = 0, kept_ = 0;
};

/// Looks on: events, listings, and what is to be forgotten.
void observe(Session& session, const Record& record) {
  int64_t last = 0;
  for (;;) {
    try {
      Stream events = session.events(last == 0 ? -1 : last);
      for (;;) {
        stacyvm_chunk chunk;
        const Stream::Next next = events.next(chunk, milliseconds(50));
        if (next == Stream::Next::end) break;
        if (next == Stream::Next::chunk) {
          const std::string event(static_cast<const char*>(chunk.data), chunk.size);
          if (last != 0 && chunk.position != last + 1) record.say("wrong", "an event is missing before " + event);
          last = chunk.position;
          record.say("event", std::to_string(last) + ' ' + event);
          if (last % 8 != 0) continue;
        }
        (void)session.call("sandbox.list");
        (void)session.call("exec.list", {}, R"({"state":"running"})");
        (void)session.call("sandbox.prune", {}, R"({"older_than":"1h"})");
      }
    } catch (const stacyvm::Error& error) {
      record.failed("look", error);
      return;
    }
  }
}

}  // namespace

stacyvm::Spawn keyed(const std::string& key) {
  stacyvm::Spawn spawn = spawn_options();
  spawn.name = spawn.idempotency_key = key;
  spawn.labels = {{"turn", "first"}, {"key", key}};
  return spawn;
}

std::string text_member(const std::string& json, const std::string& name) {
  const std::string start = '"' + name + "\":\"";
  const size_t at = json.find(start);
  return at == json.npos ? "" : json.substr(at + start.size(), json.find('"', at + start.size()) - at - start.size());
}

void work(const Load& load) {
  for (const int crash : {SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE}) ::signal(crash, SIG_DFL);  // the parent tells of it
  ::alarm(kLifeSeconds);
  const Record record(load.record);
  for (;;) {
    try {
      stacyvm::Options options;
      options.state_dir = load.state;
      options.flags = load.detached ? STACYVM_OPEN_DETACHED : 0;
      stacyvm::Instance vm(options);
      Session session = vm.session();
      std::vector<std::thread> threads;
      for (unsigned number = 0; number < kWorkers; ++number) threads.emplace_back([&, number] { Worker(session, load, record, number).run(); });
      observe(session, record);
      for (std::thread& thread : threads) thread.join();
    } catch (const stacyvm::Error& error) {
      record.failed("open", error);
    }
  }
}

void Acknowledged::read(const std::string& record) {
  std::ifstream lines(record);
  for (std::string line; std::getline(lines, line);) {
    if (!line.ends_with(kWhole)) continue;
    line.resize(line.size() - kWhole.size());
    const std::string kind = line.substr(0, line.find(' ')), text = line.substr(std::min(line.size(), kind.size() + 1));
    const std::string first = text.substr(0, text.find(' ')), rest = text.substr(std::min(text.size(), first.size() + 1));
    if (kind == "sandbox") sandboxes[first] = rest;
    if (kind == "ending") ending.insert(first);
    if (kind == "destroyed") destroyed.insert(first);
    if (kind == "exec") execs[first] = rest;
    if (kind == "background") background[first] = rest;
    if (kind == "event") events[std::stoll(first)] = rest;
    if (kind == "failure") failures.push_back(text);
    if (kind == "wrong") wrong.push_back(text);
  }
}

}  // namespace svm::test
