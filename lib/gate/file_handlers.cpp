#include "core/error.hpp"
#include "gate/handlers.hpp"
#include "gate/observed.hpp"
#include "gate/tar_get_stream.hpp"
#include "gate/tar_put_stream.hpp"
#include "gate/watch_stream.hpp"
#include "model/limits.hpp"

namespace svm::gate {
namespace {

constexpr size_t kMaxEntryBytes = 64u << 20;  // of a whole listing, encoded

uint32_t write_flags(bool parents, bool exclusive, bool append) {
  return (parents ? protocol::kWriteParents : 0u) | (exclusive ? protocol::kWriteExclusive : 0u) | (append ? protocol::kWriteAppend : 0u);
}

std::string_view type_name(protocol::FileType type) {
  switch (type) {
    case protocol::FileType::regular: return "file";
    case protocol::FileType::directory: return "directory";
    case protocol::FileType::symlink: return "symlink";
    case protocol::FileType::fifo: return "fifo";
    case protocol::FileType::socket: return "socket";
    case protocol::FileType::character: return "character";
    case protocol::FileType::block: return "block";
    case protocol::FileType::other: break;
  }
  return "other";
}

model::FileInfo to_model(std::string path, protocol::FileInfo&& info) {
  model::FileInfo file;
  file.path = std::move(path);
  file.size = info.size;
  file.inode = info.inode;
  file.nlink = info.nlink;
  file.mode = info.mode;
  file.uid = info.uid;
  file.gid = info.gid;
  file.type = type_name(info.type);
  file.mtime_ns = info.mtime_ns;
  file.target = std::move(info.target);
  return file;
}

template <class R>
Question question(protocol::Op op, const R& request) {
  return {message(op, request), {}, false, {kMaxEntryBytes, -1, kFileIdleMs}};
}

std::vector<protocol::Entry> entries_of(const Answer& answer, uint32_t limit) {
  std::vector<protocol::Entry> entries;
  if (!protocol::decode_entries(answer.entries, entries) || entries.size() > limit) malformed_answer();
  return entries;
}

template <class R>
std::shared_ptr<channel::Stream> open(Act& act, const R& request, Message& plan) {
  return act.manager.session(request.id)->request(plan.op, std::move(plan.payload));
}

/// A stream of a file's bytes whose end is an event, with the number that `count` gives, after `before`.
template <class R>
std::shared_ptr<channel::Stream> open_observed(Act& act, const R& request, Message& plan, std::string_view operation, std::string_view type,
                                               uint64_t Counts::*count, uint64_t before = 0) {
  const Witness witness(act.manager.events(), act.object);
  return std::make_shared<ObservedStream>(open(act, request, plan), [=, path = request.path](const protocol::Result* result, const Counts& counts) {
    if (result && result->code == Code::ok)
      witness.tell(type, events::Data().text("path", path).number("size", static_cast<int64_t>(before + counts.*count)));
    else if (result && result->code != Code::cancelled)
      witness.failed(operation, result->code, result->error, result->message);
  });
}

}  // namespace

Message Handler<ops::FileRead>::resolve(Act&, model::FileReadRequest& request) {
  return message(protocol::Op::read, protocol::ReadRequest{request.path, request.offset, request.length, request.user});
}
std::shared_ptr<channel::Stream> Handler<ops::FileRead>::run(Act& act, model::FileReadRequest& request, Message& plan) {
  return open_observed(act, request, plan, ops::FileRead::row.name, "file.read", &Counts::bytes);
}

Question Handler<ops::FileWrite>::resolve(Act&, model::FileWriteRequest& request) {
  const protocol::WriteRequest write{request.path, request.mode, write_flags(request.parents, request.exclusive, request.append), request.user, {}, 0};
  return {message(protocol::Op::write, write), request.content, true, {0, -1, kFileIdleMs}};
}
model::Status Handler<ops::FileWrite>::answer(Act& act, model::FileWriteRequest& request, Answer&&) {
  Witness(act.manager.events(), act.object).tell("file.written", events::Data().text("path", request.path).number("size", static_cast<int64_t>(request.content.size())));
  return {"written"};
}

Message Handler<ops::FileUpload>::resolve(Act&, model::FileUploadRequest& request) {
  const uint32_t flags = write_flags(request.parents, request.exclusive, false) | (request.restart ? protocol::kWriteRestart : 0u);
  return message(protocol::Op::write, protocol::WriteRequest{request.path, request.mode, flags, request.user, request.upload, request.offset});
}
std::shared_ptr<channel::Stream> Handler<ops::FileUpload>::run(Act& act, model::FileUploadRequest& request, Message& plan) {
  return open_observed(act, request, plan, ops::FileUpload::row.name, "file.written", &Counts::in, request.offset);
}

Question Handler<ops::FileStaged>::resolve(Act&, model::FileStagedRequest& request) {
  return question(protocol::Op::write, protocol::WriteRequest{request.path, 0644, protocol::kWriteStaged, request.user, request.upload, 0});
}
model::Staged Handler<ops::FileStaged>::answer(Act&, model::FileStagedRequest&, Answer&& answer) {
  protocol::FileInfo info;
  if (!protocol::decode(answer.body, info)) malformed_answer();
  return {info.size};
}

Question Handler<ops::FileList>::resolve(Act&, model::FileListRequest& request) {
  if (request.path.empty()) request.path = "/";
  if (request.limit == 0) request.limit = model::kDefaultEntries;
  return question(protocol::Op::list, protocol::ListRequest{request.path, request.limit, request.depth, request.user});
}
model::FileList Handler<ops::FileList>::answer(Act&, model::FileListRequest& request, Answer&& answer) {
  std::string directory = request.path;
  while (!directory.empty() && directory.back() == '/') directory.pop_back();
  model::FileList list;
  for (protocol::Entry& entry : entries_of(answer, request.limit)) list.items.push_back(to_model(directory + '/' + entry.name, std::move(entry.info)));
  return list;
}

Question Handler<ops::FileStat>::resolve(Act&, model::FileStatRequest& request) {
  return question(protocol::Op::stat, protocol::StatRequest{request.path, request.follow, request.user});
}
model::FileInfo Handler<ops::FileStat>::answer(Act&, model::FileStatRequest& request, Answer&& answer) {
  protocol::FileInfo info;
  if (!protocol::decode(answer.body, info)) malformed_answer();
  return to_model(request.path, std::move(info));
}

Question Handler<ops::FileGlob>::resolve(Act&, model::FileGlobRequest& request) {
  if (request.limit == 0) request.limit = model::kDefaultEntries;
  return question(protocol::Op::glob, protocol::GlobRequest{request.pattern, request.limit, request.user});
}
model::PathList Handler<ops::FileGlob>::answer(Act&, model::FileGlobRequest& request, Answer&& answer) {
  model::PathList list;
  for (protocol::Entry& entry : entries_of(answer, request.limit)) list.paths.push_back(std::move(entry.name));
  return list;
}

Question Handler<ops::FileSearch>::resolve(Act&, model::FileSearchRequest& request) {
  if (request.limit == 0) request.limit = model::kDefaultEntries;
  return question(protocol::Op::search, protocol::SearchRequest{request.path, request.text, request.limit, request.user});
}
model::FileMatches Handler<ops::FileSearch>::answer(Act&, model::FileSearchRequest& request, Answer&& answer) {
  std::vector<protocol::SearchMatch> found;
  protocol::SearchSummary summary;
  if (!protocol::decode_matches(answer.entries, found) || found.size() > request.limit || !protocol::decode(answer.body, summary)) malformed_answer();
  model::FileMatches matches{{}, summary.files, summary.skipped, summary.more};
  for (protocol::SearchMatch& match : found) matches.matches.push_back({std::move(match.path), match.line, std::move(match.text)});
  return matches;
}

Question Handler<ops::FileReplace>::resolve(Act&, model::FileReplaceRequest& request) {
  return question(protocol::Op::replace, protocol::ReplaceRequest{request.path, request.text, request.replacement, request.user});
}
model::FileReplaced Handler<ops::FileReplace>::answer(Act& act, model::FileReplaceRequest& request, Answer&& answer) {
  protocol::Replaced replaced;
  if (!protocol::decode(answer.body, replaced)) malformed_answer();
  if (replaced.count > 0) Witness(act.manager.events(), act.object).tell("file.written", events::Data().text("path", request.path));
  return {replaced.count};
}

Question Handler<ops::FileMove>::resolve(Act&, model::FileMoveRequest& request) {
  return question(protocol::Op::move, protocol::MoveRequest{request.old_path, request.new_path, request.replace, request.user});
}
model::Status Handler<ops::FileMove>::answer(Act&, model::FileMoveRequest&, Answer&&) { return {"moved"}; }

Question Handler<ops::FileCopy>::resolve(Act&, model::FileCopyRequest& request) {
  // As long as it takes: the agent says nothing before the end, and how much there is to copy only the sandbox's disk bounds.
  return {message(protocol::Op::copy, protocol::CopyRequest{request.path, request.new_path, request.recursive, request.replace, request.user}), {}, false, {}};
}
model::Status Handler<ops::FileCopy>::answer(Act&, model::FileCopyRequest&, Answer&&) { return {"copied"}; }

Question Handler<ops::FileSymlink>::resolve(Act&, model::FileSymlinkRequest& request) {
  return question(protocol::Op::symlink, protocol::SymlinkRequest{request.target, request.path, true, request.user, request.replace});
}
model::Status Handler<ops::FileSymlink>::answer(Act&, model::FileSymlinkRequest&, Answer&&) { return {"created"}; }

Question Handler<ops::FileChmod>::resolve(Act&, model::FileChmodRequest& request) {
  const bool sets_mode = request.mode != model::kKeepMode;
  return question(protocol::Op::chmod, protocol::ChmodRequest{request.path, sets_mode ? request.mode : 0, request.user, sets_mode, request.owner, request.group});
}
model::Status Handler<ops::FileChmod>::answer(Act&, model::FileChmodRequest&, Answer&&) { return {"chmod applied"}; }

Question Handler<ops::FileMkdir>::resolve(Act&, model::FileMkdirRequest& request) {
  return question(protocol::Op::mkdir, protocol::MkdirRequest{request.path, request.mode, request.parents, request.user});
}
model::Status Handler<ops::FileMkdir>::answer(Act&, model::FileMkdirRequest&, Answer&&) { return {"created"}; }

Question Handler<ops::FileRemove>::resolve(Act&, model::FileRemoveRequest& request) {
  return question(protocol::Op::remove, protocol::RemoveRequest{request.path, request.recursive, request.user});
}
model::Status Handler<ops::FileRemove>::answer(Act&, model::FileRemoveRequest&, Answer&&) { return {"deleted"}; }

Message Handler<ops::FileWatch>::resolve(Act&, model::FileWatchRequest& request) {
  return message(protocol::Op::watch, protocol::WatchRequest{request.path, request.recursive, request.user});
}
std::shared_ptr<channel::Stream> Handler<ops::FileWatch>::run(Act& act, model::FileWatchRequest& request, Message& plan) {
  return std::make_shared<WatchStream>(open(act, request, plan));
}

Message Handler<ops::FileTarGet>::resolve(Act&, model::FileTarGetRequest& request) {
  return message(protocol::Op::pack, protocol::PackRequest{request.path, request.user});
}
std::shared_ptr<channel::Stream> Handler<ops::FileTarGet>::run(Act& act, model::FileTarGetRequest& request, Message& plan) {
  return std::make_shared<TarGetStream>(open(act, request, plan));
}

Message Handler<ops::FileTarPut>::resolve(Act&, model::FileTarPutRequest& request) {
  return message(protocol::Op::unpack, protocol::UnpackRequest{request.path, request.user});
}
std::shared_ptr<channel::Stream> Handler<ops::FileTarPut>::run(Act& act, model::FileTarPutRequest& request, Message& plan) {
  return make_tar_put_stream(open(act, request, plan));
}

}  // namespace svm::gate
