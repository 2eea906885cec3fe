// Finding what a glob pattern matches: directories one after the other, each read once, as many entries a turn as its kernel
// buffer holds.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <optional>

#include "agent/entries.hpp"
#include "agent/glob.hpp"
#include "agent/lookup.hpp"

namespace svm::agent {
namespace {

constexpr size_t kMaxVisits = 1'000'000;  // entries looked at
constexpr size_t kMaxPending = 100'000;   // directories found and not yet read

class GlobStream final : public EntryStream {
 public:
  GlobStream(Loop& loop, uint32_t id, protocol::GlobRequest&& request) : EntryStream(loop, id), request_(std::move(request)) {}

  void start() override {
    protocol::Result why;
    const auto who = find_identity(loop_.context(), request_.user, why);
    if (!who) return finish(why);
    who_ = *who;
    std::string pattern;
    if (const int error = loop_.context().root.absolute(request_.pattern, pattern)) return finish(path_failure(error, "glob", request_.pattern));
    glob_ = Glob::parse(pattern);
    if (!glob_) return finish(failure(Code::invalid, 0, "glob", request_.pattern, "\"..\" or an overlong component"));
    Glob::States states = glob_->start();
    if (states.empty()) {
      names_.emplace_back("/");
    } else {
      pending_.push_back({"/", std::move(states), true});
    }
    want_turn();
  }

 private:
  struct Directory {
    std::string path;  // ends in '/'
    Glob::States states;
    bool follow;       // reached by a component that names it, so it may be a link
  };

  bool collect() override {
    if (!reader_) {
      if (pending_.empty()) return true;
      current_ = std::move(pending_.back());
      pending_.pop_back();
      if (const auto names = glob_->literals(current_.states)) return probe(*names);
      Fd directory;
      // A directory that is gone, closed to the user or no directory matches nothing, as in a shell.
      if (!open(directory)) return false;
      reader_.emplace(std::move(directory));
    }
    std::vector<DirectoryReader::Name> found;
    const int more = reader_->read(found);
    for (auto& entry : found)
      if (!look(entry.name, entry.type)) return false;
    if (more <= 0) reader_.reset();
    return false;
  }

  bool open(Fd& out) {
    struct stat info;
    const Root& root = loop_.context().root;
    if (!current_.follow) {
      // Below ** nothing is followed: not the last component either, should it have become a link.
      std::string path = current_.path.substr(0, current_.path.size() - 1);
      Fd pinned;
      if (root.handle(path, false, pinned, info) != 0 || !S_ISDIR(info.st_mode)) return false;
    }
    return root.content(current_.path, O_RDONLY, out, info) == 0 && S_ISDIR(info.st_mode);
  }

  bool probe(const std::vector<std::string>& names) {
    for (const std::string& name : names) {
      Fd found;
      struct stat info;
      if (loop_.context().root.handle(current_.path + name, false, found, info) != 0) continue;
      if (!look(name, S_ISDIR(info.st_mode) ? DT_DIR : S_ISLNK(info.st_mode) ? DT_LNK : DT_REG)) return false;
    }
    return false;
  }

  /// False: the stream has ended.
  bool look(const std::string& name, unsigned char type) {
    if (++visits_ > kMaxVisits) {
      finish(failure(Code::limit, 0, "glob", request_.pattern, "more than " + std::to_string(kMaxVisits) + " entries to look at"));
      return false;
    }
    Glob::Step step = glob_->advance(current_.states, name);
    if (!step.matches && step.states.empty()) return true;
    std::string path = current_.path + name;
    if (path.size() > protocol::kMaxPathBytes) return true;  // no request could name it
    if (type == DT_UNKNOWN) {
      Fd found;
      struct stat info;
      if (loop_.context().root.handle(path, false, found, info) != 0) return true;
      type = S_ISDIR(info.st_mode) ? DT_DIR : S_ISLNK(info.st_mode) ? DT_LNK : DT_REG;
    }
    if (step.matches) {
      const size_t limit = entry_limit(request_.limit);
      if (names_.size() >= limit) {
        finish_too_many("glob", request_.pattern, limit);
        return false;
      }
      names_.push_back(path);
    }
    const bool link = type == DT_LNK;
    Glob::States& below = link ? step.link_states : step.states;
    if ((type != DT_DIR && !link) || below.empty()) return true;
    if (pending_.size() >= kMaxPending) {
      finish(failure(Code::limit, 0, "glob", request_.pattern, "more than " + std::to_string(kMaxPending) + " directories to look into"));
      return false;
    }
    pending_.push_back({path + "/", std::move(below), link});
    return true;
  }

  bool describe(const std::string& name, protocol::FileInfo& out) override {
    Fd found;
    struct stat info;
    if (loop_.context().root.handle(name, false, found, info) != 0) return false;
    out = file_info(info);
    return true;
  }

  const Identity& who() const noexcept override { return who_; }

  protocol::GlobRequest request_;
  Identity who_;
  std::optional<Glob> glob_;
  std::vector<Directory> pending_;
  Directory current_;
  std::optional<DirectoryReader> reader_;
  size_t visits_ = 0;
};

}  // namespace

std::unique_ptr<Stream> make_glob(Loop& loop, uint32_t id, protocol::GlobRequest&& request) {
  return std::make_unique<GlobStream>(loop, id, std::move(request));
}

}  // namespace svm::agent
