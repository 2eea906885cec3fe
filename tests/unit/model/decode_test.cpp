#include "expect.hpp"
#include "model/fields.hpp"
#include "model/limits.hpp"

using namespace svm;
using namespace svm::model;
using svm::test::check_refused;
using svm::test::error_of;
using svm::test::fact;

namespace {

const std::string kId = "sb-" + std::string(26, 'a');

template <class T>
void refused(std::string_view field, std::string_view body, const Pairs& pairs = {}) {
  INFO("body: ", std::string(body));
  check_refused(field, [&] { decode<T>(pairs, body); });
}

}  // namespace

TEST_CASE("decode: a spawn with everything") {
  const auto r = decode<SpawnRequest>({}, R"({"image":"alpine:latest","provider":"native","memory_mb":512,"disk_mb":256,"vcpus":0.5,"pids":64,"ttl":"1h30m",
    "env":{"A":"1","B":""},"metadata":{"team":"x"},"profile":"build","user":"root","network":"none","mounts":[{"host":"/srv","guest":"/data","writable":true}],
    "best_effort":true,"owner_id":"me","template":"","unknown":[{"deep":1}]})");
  CHECK(r.image == "alpine:latest");
  CHECK(r.provider == "native");
  CHECK(r.memory_bytes == 512ull << 20);
  CHECK(r.disk_bytes == 256ull << 20);
  CHECK(r.milli_cpus == 500);
  CHECK(r.pids == 64);
  CHECK(r.ttl_ms == 5'400'000);
  CHECK(r.env == StringMap{{"A", "1"}, {"B", ""}});
  CHECK(r.metadata == StringMap{{"team", "x"}});
  CHECK(r.profile == "build");
  CHECK(r.user == "root");
  CHECK(r.network == "none");
  REQUIRE(r.mounts.size() == 1);
  CHECK(r.mounts[0].host == "/srv");
  CHECK(r.mounts[0].guest == "/data");
  CHECK(r.mounts[0].writable);
  CHECK(r.best_effort);
  CHECK(r.owner_id == "me");
}

TEST_CASE("decode: no body, an empty object and nulls mean the defaults") {
  for (const std::string_view body : {"", "{}", R"({"image":null,"memory_mb":null,"env":null,"mounts":null,"ttl":null,"template":null})", R"({"memory_mb":0,"vcpus":0,"ttl":"0"})", R"({"image":"","ttl":"","provider":"","template":""})"})
    CHECK(encode(decode<SpawnRequest>({}, body)) == "{}");
}

TEST_CASE("decode: an exec with everything") {
  const auto r = decode<ExecRequest>({{"id", kId}}, R"({"command":"ls","args":["-l","a b"],"mode":"argv","env":{"X":"y"},"workdir":"/tmp","user":"1000:100","timeout":"1500ms",
    "stdin":"in","use_stdin":true,"merge_output":true,"output_limit":1000,"stream":true})");
  CHECK(r.id == kId);
  CHECK(r.command == "ls");
  CHECK(r.args == std::vector<std::string>{"-l", "a b"});
  CHECK(r.mode == "argv");
  CHECK(r.env == StringMap{{"X", "y"}});
  CHECK(r.workdir == "/tmp");
  CHECK(r.user == "1000:100");
  CHECK(r.timeout_ms == 1500);
  CHECK(r.stdin_data == "in");
  CHECK(r.use_stdin);
  CHECK(r.merge);
  CHECK(r.output_limit == 1000);
}

TEST_CASE("decode: file requests, from pairs and body alike") {
  const auto read = decode<FileReadRequest>({{"id", kId}, {"path", "/etc/\xff"}, {"offset", "5"}, {"length", "7"}}, "");
  CHECK(read.path == "/etc/\xff");  // a percent-encoded path may be any bytes
  CHECK(read.offset == 5);
  CHECK(read.length == 7);
  CHECK(decode<FileReadRequest>({{"id", kId}, {"path", "/a"}}, "").length == UINT64_MAX);

  const auto write = decode<FileWriteRequest>({{"id", kId}}, R"({"path_b64":"L2H/","content_b64":"AP8=","mode":"0755","parents":false,"exclusive":true})");
  CHECK(write.path == "/a\xff");
  CHECK(write.content == std::string("\0\xff", 2));
  CHECK(write.mode == 0755);
  CHECK_FALSE(write.parents);
  CHECK(write.exclusive);
  CHECK(decode<FileWriteRequest>({{"id", kId}}, R"({"path":"/a"})").mode == 0644);
  CHECK(decode<FileRemoveRequest>({{"id", kId}, {"path", "/a"}, {"recursive", "true"}}, "").recursive);
  CHECK(decode<FileChmodRequest>({{"id", kId}}, R"({"path":"/a","mode":"7777"})").mode == 07777);
  CHECK(decode<ExtendRequest>({{"id", kId}}, R"({"ttl":"30m"})").ttl_ms == 1'800'000);
  CHECK(decode<ListRequest>({{"limit", "10"}, {"after", kId}}, "").limit == 10);
}

TEST_CASE("decode: the body must be an object") {
  for (const std::string_view body : {"[]", "null", "1", "\"\"", "true", " ", "{}x", "{} {}"}) refused<SpawnRequest>("body", body);
}

TEST_CASE("decode: wrong types name their field") {
  refused<SpawnRequest>("image", R"({"image":1})");
  refused<SpawnRequest>("image", R"({"image":["a"]})");
  refused<SpawnRequest>("memory_mb", R"({"memory_mb":"512"})");
  refused<SpawnRequest>("vcpus", R"({"vcpus":"1"})");
  refused<SpawnRequest>("ttl", R"({"ttl":30})");
  refused<SpawnRequest>("env", R"({"env":[]})");
  refused<SpawnRequest>("env", R"({"env":{"A":1}})");
  refused<SpawnRequest>("mounts", R"({"mounts":{}})");
  refused<SpawnRequest>("mounts", R"({"mounts":["x"]})");
  refused<SpawnRequest>("best_effort", R"({"best_effort":1})");
  refused<ExecRequest>("args", R"({"id":"x","command":"c","args":"a"})");
  refused<ExecRequest>("args", R"({"id":"x","command":"c","args":[1]})");
  refused<ExecRequest>("stream", R"({"id":"x","command":"c","stream":"yes"})");
}

TEST_CASE("decode: numbers are exact or refused") {
  for (const std::string_view number : {"-0", "1.0", "1e2", "64.5", "1e300", "0.0"}) refused<SpawnRequest>("pids", "{\"pids\":" + std::string(number) + "}");
  for (const std::string_view number : {"1e999", "-1e999"}) refused<SpawnRequest>("body", "{\"pids\":" + std::string(number) + "}");  // beyond every double
  for (const std::string_view number : {"-1", "4294967300", "9223372036854775807", "9223372036854775808", "18446744073709551617", "-9223372036854775808", "99999999999999999999999"}) {
    refused<SpawnRequest>("pids", "{\"pids\":" + std::string(number) + "}");
    refused<SpawnRequest>("memory_mb", "{\"memory_mb\":" + std::string(number) + "}");
  }
  for (const std::string_view number : {"-1", "-0", "-0.5", "0.0005", "1.0001", "1e0", "9223372036854775.808"}) refused<SpawnRequest>("vcpus", "{\"vcpus\":" + std::string(number) + "}");
  CHECK(decode<SpawnRequest>({}, R"({"vcpus":2})").milli_cpus == 2000);
  CHECK(decode<SpawnRequest>({}, R"({"vcpus":1.2500})").milli_cpus == 1250);
  CHECK(decode<SpawnRequest>({}, R"({"vcpus":0.01})").milli_cpus == 10);
  for (const std::string_view mode : {"", "8", "0o644", "10000", "000000", "-644", "rw-", "6 4"}) refused<FileChmodRequest>("mode", "{\"id\":\"x\",\"path\":\"/a\",\"mode\":\"" + std::string(mode) + "\"}");
  refused<FileChmodRequest>("mode", R"({"id":"x","path":"/a","mode":420})");
}

TEST_CASE("decode: pairs are read by kind and as strictly") {
  for (const std::string_view flag : {"", "1", "True", "yes", "TRUE", "true "}) refused<FileRemoveRequest>("recursive", "", {{"id", kId}, {"path", "/a"}, {"recursive", flag}});
  for (const std::string_view number : {"", "-1", "007", "+1", "1.5", " 1", "0x10", "1e1", "-0"}) refused<ListRequest>("limit", "", {{"limit", number}});
  refused<SpawnRequest>("env", "", {{"env", "A=1"}});
  refused<SpawnRequest>("mounts", "", {{"mounts", "/a"}});
  refused<SpawnRequest>("image", "", {{"image", "\xff"}});
  CHECK(decode<SpawnRequest>({{"ttl", "5m"}, {"vcpus", "1.5"}, {"memory_mb", "64"}, {"elsewhere", "ignored"}}, "").ttl_ms == 300'000);
}

TEST_CASE("decode: the same name twice is refused, wherever it is") {
  refused<ExecRequest>("id", R"({"id":"x","command":"c"})", {{"id", kId}});
  refused<ExecRequest>("body", R"({"id":"x","command":"c","command":"d"})");
  refused<ListRequest>("parameter", "", {{"limit", "1"}, {"limit", "1"}});
  refused<ListRequest>("parameter", "", {{"unknown", "1"}, {"unknown", "1"}});
  refused<FileStatRequest>("path", R"({"path":"/a","path_b64":"L2E="})", {{"id", kId}});
  refused<FileStatRequest>("path", R"({"path_b64":"L2E="})", {{"id", kId}, {"path", "/a"}});
  refused<FileStatRequest>("path", "", {{"id", kId}, {"path", "/a"}, {"path_b64", "L2E="}});
}

TEST_CASE("decode: members match exactly") {
  refused<ExecRequest>("command", R"({"id":"x","Command":"c"})");
  refused<ExecRequest>("command", R"({"id":"x","command_b64":"Yw=="})");  // only paths and content have twins
  CHECK(decode<SpawnRequest>({}, R"({"Image":"x","IMAGE":"y"})").image.empty());
}

TEST_CASE("decode: what claims an authority is refused, wherever it is") {
  for (const std::string_view name : {"tenant_id", "scopes", "admin", "role", "actor", "on_behalf_of"}) {
    refused<SpawnRequest>(name, "{\"" + std::string(name) + "\":null}");
    refused<ExecRequest>(name, "{\"id\":\"x\",\"command\":\"c\",\"" + std::string(name) + "\":\"\"}");
    refused<ListRequest>(name, "", {{name, "x"}});
    refused<SpawnRequest>("mounts[0]." + std::string(name), "{\"mounts\":[{\"host\":\"/a\",\"guest\":\"/b\",\"" + std::string(name) + "\":1}]}");
  }
  // As the caller's data they are only words.
  CHECK(decode<SpawnRequest>({}, R"({"env":{"role":"x"},"metadata":{"admin":"y"}})").env.count("role") == 1);
}

TEST_CASE("decode: a template is a name") {
  CHECK(decode<SpawnRequest>({}, R"({"template":"python"})").template_name == "python");
  refused<SpawnRequest>("template", R"({"template":"a/b"})");
  refused<SpawnRequest>("template", R"({"template":{}})");
}

TEST_CASE("decode: what is needed must be there") {
  refused<SandboxIdRequest>("id", "{}");
  refused<DestroyRequest>("id", R"({"id":null})");
  refused<ExtendRequest>("ttl", R"({"id":"x"})");
  refused<ExtendRequest>("ttl", R"({"id":"x","ttl":"0"})");
  refused<ExecRequest>("command", R"({"id":"x"})");
  refused<ExecRequest>("command", R"({"id":"x","command":""})");
  refused<FileReadRequest>("path", R"({"id":"x","path":""})");
  refused<FileChmodRequest>("mode", R"({"id":"x","path":"/a"})");
  CHECK(decode<FileChmodRequest>({}, R"({"id":"x","path":"/a","owner":"me"})").mode == kKeepMode);
  CHECK(decode<FileChmodRequest>({}, R"({"id":"x","path":"/a","mode":"","group":"7"})").mode == kKeepMode);
  refused<FileCopyRequest>("new_path", R"({"id":"x","path":"/a"})");
  refused<FileSymlinkRequest>("target", R"({"id":"x","path":"/a"})");
  refused<FileMoveRequest>("new_path", R"({"id":"x","old_path":"/a"})");
  refused<FileGlobRequest>("pattern", R"({"id":"x"})");
  refused<SpawnRequest>("mounts[1].guest", R"({"mounts":[{"host":"/a","guest":"/b"},{"host":"/a"}]})");
  CHECK(decode<FileListRequest>({{"id", kId}}, "").path.empty());
}

TEST_CASE("decode: NUL is refused in everything that becomes a path, an argument or a variable") {
  refused<ExecRequest>("command", R"({"id":"x","command":"a\u0000b"})");
  refused<ExecRequest>("args", R"({"id":"x","command":"c","args":["a\u0000"]})");
  refused<ExecRequest>("env", R"({"id":"x","command":"c","env":{"A":"\u0000"}})");
  refused<ExecRequest>("env", R"({"id":"x","command":"c","env":{"A\u0000":"b"}})");
  refused<ExecRequest>("workdir", R"({"id":"x","command":"c","workdir":"/a\u0000"})");
  refused<FileStatRequest>("path", R"({"id":"x","path":"/a\u0000"})");
  refused<FileStatRequest>("path", R"({"id":"x","path_b64":"L2EA"})");
  refused<FileStatRequest>("user", R"({"id":"x","path":"/a","user":"r\u0000"})");
  refused<SpawnRequest>("mounts[0].host", R"({"mounts":[{"host":"/a\u0000","guest":"/b"}]})");
  CHECK(decode<FileWriteRequest>({}, R"({"id":"x","path":"/a","content":"\u0000"})").content.size() == 1);
  CHECK(decode<ExecRequest>({}, R"({"id":"x","command":"c","stdin":"\u0000"})").stdin_data.size() == 1);
}

TEST_CASE("decode: forms") {
  refused<FileStatRequest>("path", R"({"id":"x","path":"relative"})");
  refused<ExecRequest>("workdir", R"({"id":"x","command":"c","workdir":"relative"})");
  refused<ExecRequest>("env", R"({"id":"x","command":"c","env":{"":"b"}})");
  refused<ExecRequest>("env", R"({"id":"x","command":"c","env":{"A=B":"b"}})");
  refused<ExecRequest>("mode", R"({"id":"x","command":"c","mode":"Shell"})");
  refused<SpawnRequest>("profile", R"({"profile":"privileged"})");
  refused<SpawnRequest>("network", R"({"network":"host"})");
  refused<SpawnRequest>("owner_id", R"({"owner_id":"a/b"})");
  refused<SpawnRequest>("owner_id", R"({"owner_id":"a b"})");
  refused<SpawnRequest>("owner_id", R"({"owner_id":"a\\b"})");
  refused<SpawnRequest>("owner_id", R"({"owner_id":"a\nb"})");
  refused<SpawnRequest>("image", R"({"image":"a\u001bb"})");
  refused<SpawnRequest>("ttl", R"({"ttl":"soon"})");
  refused<SpawnRequest>("ttl", R"({"ttl":"-1h"})");
  refused<FileStatRequest>("path_b64", R"({"id":"x","path_b64":"L2E"})");
  refused<FileWriteRequest>("append", R"({"id":"x","path":"/a","append":true,"exclusive":true})");
}

TEST_CASE("decode: no error repeats a value") {
  constexpr std::string_view kCanary = "CANARY-7f3a";
  const std::string c(kCanary);
  const std::string bodies[] = {
      R"({"id":"x","command":"c","env":{"A":")" + c + R"(\u0000"}})", R"({"id":"x","command":"c","env":{")" + c + R"(=":"v"}})", R"({"id":"x","command":")" + c + R"(\u0000"})",
      R"({"id":"x","command":"c","mode":")" + c + R"("})",           R"({"id":"x","command":"c","timeout":")" + c + R"("})",      R"({"id":"x","command":"c","workdir":")" + c + R"("})",
      R"({"id":"x","command":"c","stdin_b64":")" + c + R"("})",      R"({"id":"x","command":"c","args":{")" + c + R"(":1}})",     R"({"id":"x","command":"c","user":")" + c + R"(\n"})",
      R"({"id":"x","command":"c","stdin":")" + c + R"("}})"};
  for (const std::string& body : bodies) {
    const auto error = error_of([&] { decode<ExecRequest>({}, body); });
    REQUIRE_MESSAGE(error, body);
    CHECK(error->message().find(kCanary) == std::string::npos);
    for (const auto& [key, value] : error->facts()) CHECK((key + value).find(kCanary) == std::string::npos);
  }
}

TEST_CASE("decode: what is written is read back, for every request") {
  const auto round = [](auto request) {
    const std::string text = encode(request);
    CHECK(encode(decode<decltype(request)>({}, text)) == text);
  };
  round(decode<SpawnRequest>({}, R"({"image":"a","memory_mb":16,"vcpus":0.125,"ttl":"1ms","env":{"A":"\u2028"},"mounts":[{"host":"/a","guest_b64":"L/8="}],"best_effort":true})"));
  round(decode<ExecRequest>({}, R"({"id":"x","command":"c","args":[""],"timeout":"1.5s","stdin_b64":"/w=="})"));
  round(decode<FileReadRequest>({}, R"({"id":"x","path":"/a","offset":1,"length":9223372036854775807})"));
  round(decode<FileWriteRequest>({}, R"({"id":"x","path":"/a","content":"é","mode":"1777","parents":false})"));
  round(decode<FileChmodRequest>({}, R"({"id":"x","path":"/a","mode":"0600"})"));
  round(decode<FileChmodRequest>({}, R"({"id":"x","path":"/a","owner":"me","group":"0"})"));
  round(decode<FileCopyRequest>({}, R"({"id":"x","path":"/a","new_path":"/b","recursive":true,"replace":false})"));
  round(decode<FileSymlinkRequest>({}, R"({"id":"x","path":"/a","target_b64":"Li4v/w==","replace":true})"));
}
