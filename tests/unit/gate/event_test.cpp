// Which events a call makes besides those of commands, and who may see them.
#include <cerrno>

#include "fakes.hpp"

using namespace svm;
using namespace svm::test;

TEST_CASE("events: a caller with a tenant follows its own events; types must exist") {
  Rig rig;
  rig.caller.tenant = "mine";
  rig.gate.start<ops::EventFollow>(rig.caller, {7, {"exec.started"}, kId});
  const FakeEvents& log = rig.manager.event_log;
  CHECK((log.filter.tenant_id == "mine" && log.filter.sandbox_id == kId && log.filter.types == std::vector<std::string>{"exec.started"} && log.after_id == 7));
  const auto error = error_of([&] { rig.gate.start<ops::EventFollow>(rig.caller, {0, {"exec.started", "exec"}, ""}); });
  REQUIRE(error);
  CHECK(error->code() == Code::invalid);
  CHECK(fact(*error, "field") == "types");
}

TEST_CASE("events: what was tried and failed is told, what was refused is not") {
  Rig rig;
  rig.script().result_value = {Code::limit, ENOSPC, "write: no space", ""};
  model::FileWriteRequest write;
  write.id = kId;
  write.path = "/a";
  CHECK(code_of([&] { rig.gate.run<ops::FileWrite>(rig.caller, write); }) == Code::limit);
  auto& events = rig.manager.event_log.events;
  REQUIRE(events.size() == 2);
  CHECK(events[0].type == "operation.failed");
  CHECK(events[0].sandbox_id == kId);
  CHECK(events[0].data.find(R"("operation":"file.write","code":"RESOURCE_LIMIT")") != std::string::npos);
  CHECK(events[1].type == "resource.limit");
  CHECK(events[1].data.find(R"("resource":"disk")") != std::string::npos);
  events.clear();
  rig.caller.scopes.clear();
  CHECK(code_of([&] { rig.gate.run<ops::FileWrite>(rig.caller, write); }) == Code::forbidden);
  CHECK(events.empty());
}

TEST_CASE("events: files that were read or written whole, with the bytes that were moved") {
  Rig rig;
  auto& events = rig.manager.event_log.events;
  rig.script().pieces.push_back({protocol::DataKind::bytes, "123"});
  model::FileReadRequest read;
  read.id = kId;
  read.path = "/r";
  call_typed<ops::FileRead>(rig, read);
  REQUIRE(events.size() == 1);
  CHECK(events[0].type == "file.read");
  CHECK(events[0].data == R"({"path":"/r","size":3})");
  model::FileUploadRequest upload;
  upload.id = kId;
  upload.path = "/u";
  {
    const auto stream = rig.gate.start<ops::FileUpload>(rig.caller, upload);
    stream->write("12", 2, 0);
    stream->finish();
    channel::Piece piece;
    while (stream->next(1000, piece) == channel::Stream::Next::piece) {
    }
  }
  REQUIRE(events.size() == 2);
  CHECK(events[1].type == "file.written");
  CHECK(events[1].data == R"({"path":"/u","size":2})");
  rig.gate.start<ops::FileUpload>(rig.caller, upload).reset();  // dropped: nothing was written
  CHECK(events.size() == 2);
}
