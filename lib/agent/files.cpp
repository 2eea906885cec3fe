// File operations that are one short act: stat, move, mkdir, symlink, link.
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "agent/lookup.hpp"
#include "agent/loop.hpp"
#include "agent/temporary.hpp"

namespace svm::agent {
namespace {

/// Runs one of the functions below as the request's user and ends with what it returns.
template <class Request>
class OneShot final : public Stream {
 public:
  using Act = protocol::Result (*)(const Root&, const Request&, const Identity&);
  OneShot(Loop& loop, uint32_t id, Request&& request, Act act) : Stream(loop, id), request_(std::move(request)), act_(act) {}
  void start() override {
    protocol::Result result;
    if (const auto who = find_identity(loop_.context(), request_.user, result)) {
      const ActAs as(loop_.context().rights, *who);
      result = as.error() ? failure(as.error(), "become user", request_.user) : act_(loop_.context().root, request_, *who);
    }
    finish(result);
  }

 private:
  Request request_;
  Act act_;
};

template <class Request>
std::unique_ptr<Stream> one_shot(Loop& loop, uint32_t id, Request& request, typename OneShot<Request>::Act act) {
  return std::make_unique<OneShot<Request>>(loop, id, std::move(request), act);
}

protocol::Result stat_file(const Root& root, const protocol::StatRequest& request, const Identity&) {
  std::string path;
  Fd fd;
  struct stat info;
  int error = root.absolute(request.path, path);
  if (error == 0) error = root.handle(path, request.follow, fd, info);
  if (error) return path_failure(error, "stat", request.path);
  protocol::Result result;
  protocol::encode(result.body, file_info(info, fd.get(), ""));
  return result;
}

protocol::Result move_file(const Root& root, const protocol::MoveRequest& request, const Identity&) {
  Fd from, to;
  std::string from_leaf, to_leaf;
  if (const int error = root.writable_parent(request.from, false, from, from_leaf)) return path_failure(error, "move", request.from);
  struct stat info;
  // No directories are made for what cannot be moved.
  if (::fstatat(from.get(), from_leaf.c_str(), &info, AT_SYMLINK_NOFOLLOW) < 0) return failure(errno, "move", request.from);
  if (const int error = root.writable_parent(request.to, true, to, to_leaf)) return path_failure(error, "move to", request.to);
  if (::renameat2(from.get(), from_leaf.c_str(), to.get(), to_leaf.c_str(), request.replace ? 0 : RENAME_NOREPLACE) == 0) return {};
  const int error = errno;
  // Which of the two it was about.
  if (error == EXDEV) return path_failure(-EXDEV, "move to", request.to);
  if (error == EEXIST || error == ENOTEMPTY || error == EISDIR || error == ENOTDIR) return failure(error, "move to", request.to);
  return failure(error, "move", request.from);
}

protocol::Result make_directory(const Root& root, const protocol::MkdirRequest& request, const Identity& who) {
  Fd parent, made;
  std::string leaf;
  if (const int error = root.writable_parent(request.path, request.parents, parent, leaf)) return path_failure(error, "mkdir", request.path);
  if (::mkdirat(parent.get(), leaf.c_str(), 0700) < 0) {
    struct stat info;
    if (errno == EEXIST && request.parents && ::fstatat(parent.get(), leaf.c_str(), &info, 0) == 0 && S_ISDIR(info.st_mode)) return {};
    return failure(errno, "mkdir", request.path);
  }
  // The mode exactly as asked, whatever the umask; on the directory itself, should its name have been taken meanwhile.
  struct stat info;
  if (const int error = open_child(parent.get(), leaf, made)) return path_failure(error, "mkdir", request.path);
  if (::fstat(made.get(), &info) < 0) return failure(errno, "mkdir", request.path);
  if (info.st_uid != who.uid && info.st_uid != ::geteuid()) return path_failure(-EAGAIN, "mkdir", request.path);
  if (::fchmod(made.get(), request.mode) < 0) return failure(errno, "mkdir", request.path);
  return {};
}

protocol::Result make_symlink(const Root& root, const protocol::SymlinkRequest& request, const Identity&) {
  if (request.target.empty()) return failure(Code::invalid, 0, "symlink", request.path, "empty target");
  Fd parent;
  std::string leaf;
  if (const int error = root.writable_parent(request.path, request.parents, parent, leaf)) return path_failure(error, "symlink", request.path);
  if (const int error = place_symlink(parent.get(), request.target, leaf, request.replace)) return path_failure(error, "symlink", request.path);
  return {};
}

protocol::Result make_link(const Root& root, const protocol::LinkRequest& request, const Identity&) {
  Fd from, to;
  std::string from_leaf, to_leaf;
  struct stat info, made;
  if (const int error = root.writable_parent(request.existing, false, from, from_leaf)) return path_failure(error, "link", request.existing);
  if (::fstatat(from.get(), from_leaf.c_str(), &info, AT_SYMLINK_NOFOLLOW) < 0) return failure(errno, "link", request.existing);
  if (!S_ISREG(info.st_mode)) return failure(Code::invalid, 0, "link", request.existing, "not a regular file");
  if (const int error = root.writable_parent(request.path, request.parents, to, to_leaf)) return path_failure(error, "link", request.path);
  if (::linkat(from.get(), from_leaf.c_str(), to.get(), to_leaf.c_str(), 0) < 0) {
    if (errno == EXDEV) return path_failure(-EXDEV, "link", request.path);
    return failure(errno, "link", request.path);
  }
  // What was swapped in between the look and the link is not what was asked for.
  if (::fstatat(to.get(), to_leaf.c_str(), &made, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(made.st_mode)) return {};
  (void)::unlinkat(to.get(), to_leaf.c_str(), 0);
  return path_failure(-EAGAIN, "link", request.existing);
}

}  // namespace

std::unique_ptr<Stream> make_stream(Loop& loop, uint32_t id, protocol::Request&& request) {
  using protocol::Op;
  switch (request.op) {
    case Op::exec: return make_exec(loop, id, std::move(request.exec));
    case Op::read: return make_read(loop, id, std::move(request.read));
    case Op::write: return make_write(loop, id, std::move(request.write));
    case Op::list: return make_list(loop, id, std::move(request.list));
    case Op::glob: return make_glob(loop, id, std::move(request.glob));
    case Op::search: return make_search(loop, id, std::move(request.search));
    case Op::replace: return make_replace(loop, id, std::move(request.replace));
    case Op::remove: return make_remove(loop, id, std::move(request.remove));
    case Op::watch: return make_watch(loop, id, std::move(request.watch));
    case Op::pack: return make_pack(loop, id, std::move(request.pack));
    case Op::unpack: return make_unpack(loop, id, std::move(request.unpack));
    case Op::dial: return make_dial(loop, id, std::move(request.dial));
    case Op::listening: return make_listening(loop, id, std::move(request.listening));
    case Op::stats: return make_stats(loop, id);
    case Op::stat: return one_shot(loop, id, request.stat, stat_file);
    case Op::move: return one_shot(loop, id, request.move, move_file);
    case Op::copy: return make_copy(loop, id, std::move(request.copy));
    case Op::chmod: return make_chmod(loop, id, std::move(request.chmod));
    case Op::mkdir: return one_shot(loop, id, request.mkdir, make_directory);
    case Op::symlink: return one_shot(loop, id, request.symlink, make_symlink);
    case Op::link: return one_shot(loop, id, request.link, make_link);
    case Op::attach: return make_attach(loop, id, std::move(request.attach));
    case Op::process_list: return make_process_list(loop, id, std::move(request));
    case Op::process_signal: return make_process_signal(loop, id, std::move(request));
    case Op::console: return make_console(loop, id, request.console);
  }
  return nullptr;  // the decoder knows no other
}

}  // namespace svm::agent
