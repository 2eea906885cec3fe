#include <doctest/doctest.h>

#include "model/fields.hpp"
#include "model/json.hpp"

using namespace svm::model;

namespace {
constexpr std::string_view kCanary = "CANARY-5b1c";
bool leaks(const std::string& text) { return text.find(kCanary) != text.npos; }
}  // namespace

TEST_CASE("redact: secrets never, names and sizes yes") {
  SpawnRequest spawn;
  spawn.image = "host";
  spawn.env = {{"TOKEN", std::string(kCanary)}};
  CHECK(redact(spawn) == R"({"image":"host","env":{"TOKEN":"***"}})");

  ExecRequest exec;
  exec.id = "x";
  exec.command = "cat";
  exec.stdin_data = kCanary;
  exec.env = {{"TOKEN", std::string(kCanary)}};
  CHECK(redact(exec) == R"({"id":"x","command":"cat","env":{"TOKEN":"***"},"stdin":"[11 bytes]"})");

  FileWriteRequest write;
  write.id = "x";
  write.path = "/a";
  write.content = kCanary;
  CHECK(redact(write) == R"({"id":"x","path":"/a","content":"[11 bytes]"})");

  ExecResponse response;
  response.out = response.err = kCanary;
  CHECK_FALSE(leaks(redact(response)));
}

TEST_CASE("redact: a command is kept up to its cut, arguments up to theirs") {
  ExecRequest exec;
  exec.command = std::string(kAuditTextBytes, 'c');
  CHECK(redact(exec).find(exec.command + "\"") != std::string::npos);
  exec.command += std::string(kCanary);
  CHECK_FALSE(leaks(redact(exec)));
  CHECK(redact(exec).find("...\"") != std::string::npos);

  exec.command = "c";
  exec.args = {std::string(kAuditItemBytes, 'a') + std::string(kCanary)};
  CHECK_FALSE(leaks(redact(exec)));
  exec.args.assign(kAuditItems, "a");
  CHECK(redact(exec).find("more") == std::string::npos);
  exec.args.emplace_back(kCanary);
  CHECK_FALSE(leaks(redact(exec)));
  CHECK(redact(exec).find(R"("a","1 more"])") != std::string::npos);

  SpawnRequest spawn;
  for (size_t i = 0; i < kAuditItems + 2; ++i) spawn.env.emplace("K" + std::to_string(i), "v");
  spawn.mounts.assign(kAuditItems + 3, Mount{"/a", "/b", false});
  const std::string text = redact(spawn);
  CHECK(text.find(R"("...":"2 more"})") != std::string::npos);
  CHECK(text.find(R"("3 more"])") != std::string::npos);
}

TEST_CASE("redact: whatever bytes came, the detail is JSON in one line") {
  ExecRequest exec;
  exec.command = "a\n\x1b[31m\xff\u2028\"";
  exec.args = {"\x01", std::string(kAuditItemBytes - 1, 'a') + "\u00e9"};
  exec.env = {{"\xff\n", "v"}};
  exec.workdir = "/\xff";
  const std::string text = redact(exec);
  CHECK(text.find('\n') == std::string::npos);
  CHECK(text.find('\x1b') == std::string::npos);
  CHECK_NOTHROW(json_parse(text, "detail"));
}
