// What becomes of the agent's events and trees on their way to the caller, and of an archive on its way to the agent.
#include "fakes.hpp"
#include "images/tar_writer.hpp"
#include "protocol/tree.hpp"

using namespace svm;
using namespace svm::test;
using Next = channel::Stream::Next;

namespace {

std::string event(protocol::WatchKind kind, const std::string& path, const std::string& to = {}) {
  std::string bytes;
  protocol::encode(bytes, protocol::WatchEvent{kind, false, path, to});
  return bytes;
}

std::string tree_file(const std::string& path, const std::string& content) {
  protocol::TreeEntry entry;
  entry.path = path;
  entry.size = content.size();
  std::string bytes;
  protocol::encode(bytes, entry);
  return bytes + content;
}

std::string tar_file(const std::string& path, const std::string& content) {
  images::TarItem item;
  item.path = path;
  item.mode = 0640;
  item.size = content.size();
  std::string bytes;
  images::append_tar_header(bytes, item);
  bytes += content;
  bytes.append(images::tar_padding(content.size()), '\0');
  return bytes;
}

std::string drain(channel::Stream& stream) {
  std::string all;
  channel::Piece piece;
  while (stream.next(10'000, piece) == Next::piece) all += piece.data;
  return all;
}

std::string end_mark() {
  std::string mark;
  images::append_tar_end(mark);
  return mark;
}

}  // namespace

TEST_CASE("watch: each event is a piece of its own, however they came") {
  Rig rig;
  rig.script().pieces = {{protocol::DataKind::event, event(protocol::WatchKind::watching, "/w") + event(protocol::WatchKind::created, "/w/\xff")},
                         {protocol::DataKind::event, event(protocol::WatchKind::renamed, "/w/a", "/w/b")}};
  const auto stream = rig.gate.start<ops::FileWatch>(rig.caller, {kId, "/w", true, ""});
  CHECK(rig.session().last().watch.recursive);
  channel::Piece piece;
  for (const char* json : {R"({"type":"watching","path":"/w","is_dir":false})", R"({"type":"created","path_b64":"L3cv/w==","is_dir":false})",
                           R"({"type":"renamed","path":"/w/a","to":"/w/b","is_dir":false})"}) {
    REQUIRE(stream->next(0, piece) == Next::piece);
    CHECK(piece.kind == protocol::DataKind::event);
    CHECK(piece.data == json);
  }
  CHECK(stream->next(0, piece) == Next::end);
}

TEST_CASE("watch: an agent whose events are malformed is not believed") {
  for (const channel::Piece& bad : {channel::Piece{protocol::DataKind::event, "garbage"}, channel::Piece{protocol::DataKind::bytes, event(protocol::WatchKind::created, "/a")}}) {
    Rig rig;
    rig.script().pieces = {bad};
    const auto stream = rig.gate.start<ops::FileWatch>(rig.caller, {kId, "/w", false, ""});
    channel::Piece piece;
    CHECK(code_of([&] { stream->next(0, piece); }) == Code::internal);
  }
}

TEST_CASE("tar_get: a tree in pieces of any size becomes one archive") {
  const std::string tree = tree_file("a", "one") + tree_file("b", std::string(3000, 'b'));
  const std::string expected = [] {
    std::string bytes;
    for (const auto& [path, content] : {std::pair<std::string, std::string>{"a", "one"}, {"b", std::string(3000, 'b')}}) {
      images::TarItem item;
      item.path = path;
      item.size = content.size();
      images::append_tar_header(bytes, item);
      bytes += content;
      bytes.append(images::tar_padding(content.size()), '\0');
    }
    return bytes + end_mark();
  }();
  for (const size_t size : {size_t{1}, size_t{7}, size_t{1000}, tree.size()}) {
    Rig rig;
    auto& pieces = rig.script().pieces;
    for (size_t at = 0; at < tree.size(); at += size) pieces.push_back({protocol::DataKind::bytes, tree.substr(at, size)});
    const auto stream = rig.gate.start<ops::FileTarGet>(rig.caller, {kId, "/a", ""});
    CHECK(drain(*stream) == expected);
    REQUIRE(stream->result());
    CHECK(stream->result()->code == Code::ok);
  }
}

TEST_CASE("tar_get: no mark of an end where the tree is not whole") {
  const std::string tree = tree_file("a", "one");
  {
    Rig rig;
    rig.script().pieces = {{protocol::DataKind::bytes, tree}};
    rig.session().stream->result_value = {Code::conflict, 0, "shrank", ""};
    const auto stream = rig.gate.start<ops::FileTarGet>(rig.caller, {kId, "/a", ""});
    CHECK(drain(*stream).size() == 1024);
    CHECK(stream->result()->code == Code::conflict);
  }
  for (const std::string& bad : {tree.substr(0, 10), tree.substr(0, tree.size() - 1), std::string("garbage"), tree + "x"}) {
    Rig rig;
    rig.script().pieces = {{protocol::DataKind::bytes, bad}};
    const auto stream = rig.gate.start<ops::FileTarGet>(rig.caller, {kId, "/a", ""});
    CHECK(code_of([&] { drain(*stream); }) == Code::internal);
  }
  protocol::TreeEntry chmod;  // is for the other direction
  chmod.type = protocol::TreeType::chmod;
  chmod.path = "a";
  std::string bytes;
  protocol::encode(bytes, chmod);
  Rig rig;
  rig.script().pieces = {{protocol::DataKind::bytes, bytes}};
  const auto stream = rig.gate.start<ops::FileTarGet>(rig.caller, {kId, "/a", ""});
  CHECK(code_of([&] { drain(*stream); }) == Code::internal);
}

TEST_CASE("tar_put: an archive becomes a tree") {
  Rig rig;
  rig.script().waits_for_end = true;
  const auto agent = rig.session().stream;
  const auto stream = rig.gate.start<ops::FileTarPut>(rig.caller, {kId, "/t", "root"});
  CHECK(rig.session().last().unpack.path == "/t");
  const std::string tar = tar_file("./d/a", "one") + tar_file("dev/b", std::string(200'000, 'b')) + end_mark();
  for (size_t at = 0; at < tar.size();) at += stream->write(tar.data() + at, std::min<size_t>(tar.size() - at, 1000), 10'000);
  stream->finish();
  channel::Piece piece;
  CHECK(stream->next(10'000, piece) == Next::end);
  REQUIRE(stream->result());
  CHECK_MESSAGE(stream->result()->code == Code::ok, stream->result()->message);
  protocol::TreeParser parser;
  std::string_view in = agent->written, content;
  protocol::TreeEntry entry;
  REQUIRE(parser.next(in, entry, content) == protocol::TreeParser::Item::entry);
  CHECK(entry.path == "d/a");
  CHECK(entry.mode == 0640);
  REQUIRE(parser.next(in, entry, content) == protocol::TreeParser::Item::content);
  CHECK(content == "one");
  REQUIRE(parser.next(in, entry, content) == protocol::TreeParser::Item::entry);
  CHECK(entry.path == "dev/b");
  CHECK(entry.size == 200'000);
  CHECK(code_of([&] { stream->write("x", 1, 0); }) == Code::closed);
}

TEST_CASE("tar_put: a refused archive ends it with the reason, and cancels the agent's part") {
  for (const std::string& bad : {std::string("no archive"), tar_file("a", "x"), tar_file("../a", "x") + end_mark(), tar_file("a", "x") + tar_file("a", "y") + end_mark(), std::string()}) {
    Rig rig;
    rig.script().waits_for_end = true;
    const auto agent = rig.session().stream;
    const auto stream = rig.gate.start<ops::FileTarPut>(rig.caller, {kId, "/t", ""});
    if (!bad.empty()) CHECK(stream->write(bad.data(), bad.size(), 10'000) == bad.size());
    stream->finish();
    channel::Piece piece;
    REQUIRE(stream->next(10'000, piece) == Next::end);
    CHECK(stream->result()->code == Code::invalid);
    CHECK(stream->result()->message.find("archive") != std::string::npos);
    CHECK(*agent->cancelled);
    CHECK_FALSE(agent->finished);
  }
}

TEST_CASE("tar_put: what the agent failed with is what the caller gets") {
  Rig rig;
  rig.script().closes_after = 1;
  rig.session().stream->result_value = {Code::limit, 28, "unpack /t/a: no space left on device", ""};
  const auto stream = rig.gate.start<ops::FileTarPut>(rig.caller, {kId, "/t", ""});
  const std::string tar = tar_file("a", std::string(900'000, 'x')) + end_mark();
  try {
    for (size_t at = 0; at < tar.size();) at += stream->write(tar.data() + at, tar.size() - at, 10'000);
    stream->finish();
  } catch (const Error& error) {
    CHECK(error.code() == Code::closed);
  }
  channel::Piece piece;
  REQUIRE(stream->next(10'000, piece) == Next::end);
  CHECK(stream->result()->code == Code::limit);
  CHECK(stream->result()->error == 28);
}
