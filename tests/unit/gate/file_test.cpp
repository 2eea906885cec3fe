#include "fakes.hpp"
#include "model/limits.hpp"

using namespace svm;
using namespace svm::test;

namespace {

std::string entries(std::initializer_list<std::string_view> names) {
  std::string data;
  for (const std::string_view name : names) {
    protocol::Entry entry;
    entry.name = name;
    entry.info.type = protocol::FileType::regular;
    entry.info.mode = 0644;
    entry.info.size = 5;
    entry.info.mtime_ns = 7;
    entry.info.uid = 1000;
    entry.info.gid = 100;
    entry.info.nlink = 2;
    protocol::encode(data, entry);
  }
  return data;
}

}  // namespace

TEST_CASE("file: a listing's names become paths, whatever the directory looks like") {
  const std::pair<std::string_view, std::string_view> cases[] = {{"", "/x"}, {"/", "/x"}, {"//", "/x"}, {"/d", "/d/x"}, {"/d/", "/d/x"}};
  for (const auto& [directory, path] : cases) {
    Rig rig;
    rig.script().pieces = {{protocol::DataKind::entry, entries({"x"})}, {protocol::DataKind::entry, entries({"y", "\xff"})}};
    const model::FileList list = rig.gate.run<ops::FileList>(rig.caller, {kId, std::string(directory), 0, 1, ""});
    REQUIRE(list.items.size() == 3);
    CHECK(list.items[0].path == path);
    CHECK(list.items[0].type == "file");
    CHECK(list.items[0].mode == 0644);
    CHECK(list.items[0].size == 5);
    CHECK(list.items[0].mtime_ns == 7);
    CHECK(list.items[0].uid == 1000);
    CHECK(list.items[0].gid == 100);
    CHECK(list.items[0].nlink == 2);
    CHECK(rig.session().last().list.path == (directory.empty() ? "/" : directory));
    CHECK(rig.session().last().list.limit == model::kDefaultEntries);
  }
}

TEST_CASE("file: an agent that gives more entries than were asked, or broken ones, is not believed") {
  Rig rig;
  rig.script().pieces = {{protocol::DataKind::entry, entries({"a", "b"})}};
  CHECK(rig.gate.run<ops::FileGlob>(rig.caller, {kId, "/*", 2, ""}).paths == std::vector<std::string>{"a", "b"});
  rig.script().pieces = {{protocol::DataKind::entry, entries({"a", "b", "c"})}};
  CHECK(code_of([&] { rig.gate.run<ops::FileGlob>(rig.caller, {kId, "/*", 2, ""}); }) == Code::internal);
  rig.script().pieces = {{protocol::DataKind::entry, "garbage"}};
  CHECK(code_of([&] { rig.gate.run<ops::FileList>(rig.caller, {kId, "/", 0, 1, ""}); }) == Code::internal);
  rig.script().pieces = {{protocol::DataKind::entry, "garbage"}};
  CHECK(code_of([&] { rig.gate.run<ops::FileSearch>(rig.caller, {kId, "/", "x", 0, ""}); }) == Code::internal);
  rig.script().result_value.body = "garbage";
  CHECK(code_of([&] { rig.gate.run<ops::FileReplace>(rig.caller, {kId, "/", "x", "y", ""}); }) == Code::internal);
  rig.script().result_value.body = "garbage";
  CHECK(code_of([&] { rig.gate.run<ops::FileStat>(rig.caller, {kId, "/a", true, ""}); }) == Code::internal);
}

TEST_CASE("file: types have their words") {
  using T = protocol::FileType;
  const std::pair<T, std::string_view> types[] = {{T::regular, "file"}, {T::directory, "directory"}, {T::symlink, "symlink"}, {T::fifo, "fifo"},
                                                  {T::socket, "socket"}, {T::character, "character"}, {T::block, "block"},   {T::other, "other"}};
  for (const auto& [type, word] : types) {
    Rig rig;
    protocol::FileInfo info;
    info.type = type;
    protocol::encode(rig.script().result_value.body, info);
    const model::FileInfo file = rig.gate.run<ops::FileStat>(rig.caller, {kId, "/a", false, "root"});
    CHECK(file.type == word);
    CHECK(file.path == "/a");
    CHECK_FALSE(rig.session().last().stat.follow);
    CHECK(rig.session().last().stat.user == "root");
  }
}

TEST_CASE("file: a write sends its content and its end; an empty one too") {
  for (const std::string& content : {std::string(), std::string("a\0b", 3), std::string(3'000'000, 'x')}) {
    Rig rig;
    FakeStream& stream = rig.script();
    stream.waits_for_end = true;
    const auto kept = rig.session().stream;
    model::FileWriteRequest request;
    request.id = kId;
    request.path = "/a";
    request.content = content;
    request.append = true;
    request.mode = 0600;
    CHECK(rig.gate.run<ops::FileWrite>(rig.caller, request).status == "written");
    CHECK(kept->written == content);
    CHECK(kept->finished);
    CHECK(rig.session().last().write.flags == (protocol::kWriteParents | protocol::kWriteAppend));
    CHECK(rig.session().last().write.mode == 0600);
  }
}

TEST_CASE("file: a write that the agent refuses early says why") {
  Rig rig;
  FakeStream& stream = rig.script();
  stream.closes_after = 10;
  stream.credit = 10;
  stream.result_value = {Code::limit, 28, "/a: No space left on device", ""};
  model::FileWriteRequest request;
  request.id = kId;
  request.path = "/a";
  request.content = std::string(100, 'x');
  const auto error = error_of([&] { rig.gate.run<ops::FileWrite>(rig.caller, request); });
  REQUIRE(error);
  CHECK(error->code() == Code::limit);
  CHECK(fact(*error, "errno") == "28");
}

TEST_CASE("file: the other requests reach the agent whole, and answer the wire's words") {
  Rig rig;
  const auto last = [&] { return rig.session().last(); };
  CHECK(rig.gate.run<ops::FileMove>(rig.caller, {kId, "/a", "/b", false, "u"}).status == "moved");
  CHECK(last().op == protocol::Op::move);
  CHECK(last().move.from == "/a");
  CHECK(last().move.to == "/b");
  CHECK_FALSE(last().move.replace);
  CHECK(last().move.user == "u");
  CHECK(rig.gate.run<ops::FileChmod>(rig.caller, {kId, "/a", 04755, "", "", ""}).status == "chmod applied");
  CHECK(last().chmod.mode == 04755);
  CHECK(rig.gate.run<ops::FileMkdir>(rig.caller, {kId, "/a", 0700, true, ""}).status == "created");
  CHECK(last().mkdir.mode == 0700);
  CHECK(last().mkdir.parents);
  CHECK(rig.gate.run<ops::FileRemove>(rig.caller, {kId, "/a", true, ""}).status == "deleted");
  CHECK(last().remove.recursive);
  CHECK(rig.gate.run<ops::SandboxDestroy>(rig.caller, {kId}).status == "destroyed");
  rig.gate.start<ops::FileRead>(rig.caller, {kId, "/a", 5, 6, ""});
  CHECK(last().read.offset == 5);
  CHECK(last().read.length == 6);
  rig.gate.start<ops::FileUpload>(rig.caller, {kId, "/a", 0640, false, true, ""});
  CHECK(last().write.flags == protocol::kWriteExclusive);
  CHECK(last().write.mode == 0640);
}

TEST_CASE("file: an upload names itself and its place, and asking for its size writes nothing") {
  Rig rig;
  model::FileUploadRequest request;
  request.id = kId;
  request.path = "/a";
  request.upload = "part";
  request.offset = 7;
  request.exclusive = true;
  call_typed<ops::FileUpload>(rig, request);
  CHECK(rig.session().last().write == protocol::WriteRequest{"/a", 0644, protocol::kWriteParents | protocol::kWriteExclusive, "", "part", 7});
  request.offset = 0;
  request.restart = true;
  call_typed<ops::FileUpload>(rig, request);
  CHECK(rig.session().last().write.flags == (protocol::kWriteParents | protocol::kWriteExclusive | protocol::kWriteRestart));
  CHECK(rig.gate.run<ops::FileStaged>(rig.caller, {kId, "/a", "part", ""}).size == 42);
  CHECK(rig.session().last().write == protocol::WriteRequest{"/a", 0644, protocol::kWriteStaged, "", "part", 0});
  rig.script().result_value.body = "garbage";
  CHECK(code_of([&] { rig.gate.run<ops::FileStaged>(rig.caller, {kId, "/a", "part", ""}); }) == Code::internal);
}
