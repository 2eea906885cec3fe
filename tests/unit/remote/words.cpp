#include <doctest/doctest.h>

#include "core/bytes.hpp"
#include "core/error.hpp"
#include "remote/failure.hpp"
#include "remote/words.hpp"

using namespace svm;
using remote::Word;

namespace {

Code broken(std::string_view message, bool text = true) {
  try {
    (void)(text ? remote::parse_text(message) : remote::parse_binary(message));
  } catch (const Error& error) {
    return error.code();
  }
  return Code::ok;
}

}  // namespace

TEST_CASE("chunks") {
  using namespace std::string_literals;
  const auto piece = [](const std::string& message) { return remote::parse_binary(message)->piece; };
  CHECK((piece("\1\0\0\0\0\0\0\0\7out"s).kind == protocol::DataKind::out && piece("\1\0\0\0\0\0\0\0\7out"s).data == "out"));
  CHECK(piece("\1\0\0\0\0\0\0\0\7out"s).position == -1);  // it follows from what came before
  CHECK(piece("\2\0\0\0\0\0\0\0\0"s).kind == protocol::DataKind::err);
  CHECK(piece("\0\0\0\0\0\0\0\0\0x"s).kind == protocol::DataKind::bytes);
  CHECK((piece("\4\0\0\0\0\0\0\1\2{}"s).kind == protocol::DataKind::event && piece("\4\0\0\0\0\0\0\1\2{}"s).position == 258));
  CHECK_FALSE(remote::parse_binary("\x09\0\0\0\0\0\0\0\0"s).has_value());
  CHECK(broken("\1\0\0\0\0\0\0\0"s, false) == Code::io);
}

TEST_CASE("words of the server") {
  const auto started = remote::parse_text(R"({"type":"started","exec_id":"ex-1","more":[1]})");
  CHECK((started->kind == Word::Kind::started && started->exec_id == "ex-1"));
  const auto gap = remote::parse_text(R"({"type":"gap","position":300})");
  CHECK((gap->kind == Word::Kind::piece && gap->piece.kind == protocol::DataKind::gap && ByteReader(gap->piece.data).u64() == 300));
  CHECK(remote::parse_text(R"({"type":"half"})")->kind == Word::Kind::half);
  CHECK((remote::parse_text(R"({"type":"end"})")->kind == Word::Kind::end && remote::parse_text(R"({"type":"end"})")->result.code == Code::ok));
  CHECK_FALSE(remote::parse_text(R"({"type":"of a later release"})").has_value());
}

TEST_CASE("how a command ended") {
  const auto word = remote::parse_text(R"({"type":"exit","exit_code":137,"signal":9,"reason":"oom","wall_us":5,"cpu_us":4,"memory_peak_bytes":1024})");
  protocol::ExecResult exec;
  REQUIRE(protocol::decode(word->result.body, exec));
  CHECK((exec.exit_code == 137 && exec.signal == 9 && exec.reason == protocol::ExecReason::oom && exec.wall_us == 5 && exec.cpu_us == 4 && exec.memory_peak == 1024));
  for (const char* wrong : {R"({"type":"exit"})", R"({"type":"exit","exit_code":256,"signal":0,"wall_us":0,"cpu_us":0,"memory_peak_bytes":0})",
                            R"({"type":"exit","exit_code":-1,"signal":0,"wall_us":0,"cpu_us":0,"memory_peak_bytes":0})", R"({"type":"exit","exit_code":"0","signal":0,"wall_us":0,"cpu_us":0,"memory_peak_bytes":0})",
                            R"({"type":"gap"})", "[", "x"})
    CHECK_MESSAGE(broken(wrong) == Code::io, wrong);
}

TEST_CASE("errors keep what they are") {
  const auto refusal = remote::refusal_of(R"({"type":"error","code":"FILE_NOT_FOUND","message":"no such file","details":{"field":"path","errno":2,"list":[1]},"request_id":"r"})");
  REQUIRE(refusal.has_value());
  CHECK((refusal->code() == Code::file_not_found && refusal->message() == "no such file"));
  CHECK(refusal->facts() == Error::Facts{{"field", "path"}, {"errno", "2"}});
  CHECK_FALSE(remote::refusal_of(R"({"type":"started"})").has_value());
  const auto word = remote::parse_text(R"({"type":"error","code":"FORBIDDEN","message":"no","details":{"field":"workdir","errno":13}})");
  CHECK((word->result.code == Code::forbidden && word->result.error == 13 && word->result.subject == protocol::Subject::workdir));
  const Error internal = remote::failure_of(500, R"({"code":"INTERNAL_ERROR","message":"a fault","request_id":"r-1"})");
  CHECK((internal.code() == Code::internal && internal.facts() == Error::Facts{{"request_id", "r-1"}}));
  CHECK(remote::failure_of(418, R"({"code":"TEAPOT","message":"x"})").code() == Code::internal);
}

TEST_CASE("whoever is no stacyvm server") {
  for (const char* body : {"", "<html>", "[]", "{}", R"({"message":"x"})"}) {
    CHECK(remote::failure_of(502, body).code() == Code::unavailable);
    CHECK(remote::failure_of(502, body).message().find("502") != std::string::npos);
    CHECK(remote::failure_of(401, body).code() == Code::unauthorized);
  }
}

TEST_CASE("words to the server") {
  CHECK(remote::finish_word() == R"({"type":"finish"})");
  CHECK(remote::cancel_word() == R"({"type":"cancel"})");
  CHECK(remote::signal_word(15, false) == R"({"type":"signal","signal":"15"})");
  CHECK(remote::signal_word(9, true) == R"({"type":"signal","signal":"9","group":true})");
  CHECK(remote::resize_word(24, 80) == R"({"type":"resize","rows":24,"cols":80})");
}
