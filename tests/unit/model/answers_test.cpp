#include <doctest/doctest.h>

#include "model/fields.hpp"

using namespace svm::model;

namespace {
SandboxInfo sandbox() {
  SandboxInfo info;
  SandboxRecord& r = info.record;
  r.id = "sb-1";
  r.state = State::running;
  r.provider = "native";
  r.image = "host";
  r.memory_bytes = 512ull << 20;
  r.disk_bytes = (1ull << 20) + 1;
  r.milli_cpus = 1500;
  r.pids = 64;
  r.profile = "default";
  r.user = "user";
  r.network = "none";
  r.created_ms = 1'767'323'045'678;
  r.expires_ms = 1'767'324'845'000;
  return info;
}
}  // namespace

TEST_CASE("answers: a sandbox, golden") {
  CHECK(encode(sandbox()) ==
        R"({"id":"sb-1","state":"running","provider":"native","image":"host","memory_mb":512,"vcpus":1.5,"created_at":"2026-01-02T03:04:05.678Z",)"
        R"("expires_at":"2026-01-02T03:34:05Z","disk_mb":2,"pids":64,"profile":"default","user":"user","network":"none","enforced":[],"unenforced":[]})");
  SandboxInfo labelled = sandbox();
  labelled.record.owner_id = "me";
  labelled.record.tenant_id = "t";
  labelled.record.metadata = {{"a", "b"}};
  labelled.record.enforced = {"memory"};
  labelled.record.reason = "expired";
  const std::string text = encode(labelled);
  CHECK(text.find(R"("owner_id":"me","tenant_id":"t","metadata":{"a":"b"})") != text.npos);
  CHECK(text.find(R"("enforced":["memory"],"unenforced":[],"reason":"expired"})") != text.npos);
}

TEST_CASE("answers: an exec, golden, and output that is not UTF-8") {
  ExecResponse r;
  r.exec_id = "ex-1";
  r.exit_code = 137;
  r.signal = 9;
  r.out = "h\xc3\xa9\n";
  r.reason = "timeout";
  r.wall_us = 127'300;
  r.cpu_us = 5;
  r.memory_peak = 4096;
  CHECK(encode(r) == "{\"exit_code\":137,\"stdout\":\"h\u00e9\\n\",\"stderr\":\"\",\"duration\":\"127.3ms\",\"reason\":\"timeout\",\"signal\":9,\"cpu_us\":5,\"memory_peak_bytes\":4096,\"exec_id\":\"ex-1\"}");
  r.err = "\xff";
  const std::string text = encode(r);
  CHECK(text.find(R"("stderr_b64":"/w==")") != text.npos);
  CHECK(text.find("\"stderr\":") == text.npos);
}

TEST_CASE("answers: files, golden; lists are arrays, never null") {
  FileInfo f;
  f.path = "/a";
  f.size = 3;
  f.mode = 01644;
  f.type = "directory";
  f.mtime_ns = 1'000'000'001;
  f.uid = 1000;
  f.gid = 100;
  f.inode = UINT64_MAX / 4;
  f.nlink = 2;
  CHECK(encode(f) == R"({"path":"/a","size":3,"mode":"01644","is_dir":true,"mod_time":"1970-01-01T00:00:01.000000001Z","type":"directory","uid":1000,"gid":100,"inode":4611686018427387903,"nlink":2})");
  f.type = "symlink";
  f.target = "../b";
  CHECK(encode(f).find(R"("nlink":2,"target":"../b"})") != std::string::npos);
  f.target = "\xff";
  CHECK(encode(f).find(R"("target_b64":"/w=="})") != std::string::npos);
  f.target.clear();
  f.mode = 0644;
  f.type = "file";
  CHECK(encode(f).find(R"("mode":"0644","is_dir":false)") != std::string::npos);
  f.path = "/\xff";
  CHECK(encode(f).find(R"({"path_b64":"L/8=",)") == 0);
  f.mode = 4;
  CHECK(encode(FileList{{f}}).find(R"("mode":"0004")") != std::string::npos);
  CHECK(encode(FileList{}) == "[]");
  CHECK(encode(SandboxList{}) == "[]");
  CHECK(encode(PathList{}) == "[]");
  CHECK(encode(PathList{{"/a", "/\xff", "/\u2028"}}) == R"(["/a",{"path_b64":"L/8="},"/\u2028"])");
  CHECK(encode(Status{"destroyed"}) == R"({"status":"destroyed"})");
}

TEST_CASE("answers: what is written is read back") {
  const auto round = [](const auto& answer) {
    const std::string text = encode(answer);
    CHECK(encode(decode<std::decay_t<decltype(answer)>>({}, text)) == text);
  };
  SandboxInfo info = sandbox();
  round(info);
  round(SandboxList{{info, info}});
  round(PathList{{"/a", "/\xff"}});
  round(Status{"x"});
  ExecResponse exec;
  exec.exec_id = "ex-1";
  exec.exit_code = 3;
  exec.out = "\xff";
  exec.wall_us = 1'234'567;
  exec.reason = "exited";
  round(exec);
  FileInfo file;
  file.path = "/a";
  file.mtime_ns = -1;
  file.type = "file";
  round(file);
  file.target = "\xff/x";
  round(file);
  round(FileList{{file}});
}

TEST_CASE("answers: the words of the states") {
  for (const State state : {State::creating, State::running, State::destroying, State::destroyed, State::error}) {
    State back = State::error;
    CHECK(state_from_name(state_name(state), back));
    CHECK(back == state);
  }
  State state{};
  CHECK_FALSE(state_from_name("", state));
  CHECK_FALSE(state_from_name("Running", state));
}

TEST_CASE("shell_join: quoted arguments are what the shell reads back") {
  CHECK(shell_join("echo", {}) == "echo");
  CHECK(shell_join("echo hi;", {"a b", "", "$x", "it's"}) == "echo hi; 'a b' '' '$x' 'it'\"'\"'s'");
}

TEST_CASE("answers: the schema says what may be null") {
  const std::string text = schema<SandboxStats>();
  CHECK(text.find(R"("cpu_us":{"type":["integer","null"],)") != text.npos);
  CHECK(text.find(R"("open_streams":{"type":"integer")") != text.npos);
}

TEST_CASE("answers: what a sandbox uses is null where it cannot be read, and 0 only where it is 0") {
  SandboxStats stats;
  stats.id = "sb-a";
  stats.uptime_ms = 1500;
  stats.cpu_us = 0;
  stats.memory = 4096;
  stats.missing = {"pids: no control group"};
  CHECK(encode(stats) ==
        R"({"id":"sb-a","uptime":"1.5s","cpu_us":0,"memory_bytes":4096,"memory_peak_bytes":null,"memory_limit_bytes":null,"pids":null,"pids_limit":null,)"
        R"("oom_kills":null,"disk_bytes":null,"disk_limit_bytes":null,"inodes":null,"inodes_limit":null,"supported":true,"cpu_pct":0.00,"mem_bytes":4096,"mem_limit_bytes":null,"open_streams":0,"running_execs":0,"missing":["pids: no control group"]})");
  stats.cpu_us = 2'250'750;  // of two processors
  CHECK(encode(stats).find(R"("cpu_pct":150.05,)") != std::string::npos);
  stats.cpu_us = -1;
  CHECK(encode(stats).find(R"("cpu_pct":null,)") != std::string::npos);
}
