// What the sandbox has written: its one writable file system, which is seen at "/" (an overlay tells of the one it writes to).
#include <sys/stat.h>
#include <sys/vfs.h>

#include <algorithm>
#include <cerrno>

#include "agent/loop.hpp"

namespace svm::agent {
namespace {

class Stats final : public Stream {
 public:
  Stats(Loop& loop, uint32_t id) : Stream(loop, id) {}

  void start() override {
    constexpr std::string_view kVerb = "read the usage of";
    Fd root;
    struct stat info;
    if (const int error = loop_.context().root.handle("/", true, root, info)) return finish(path_failure(error, kVerb, "/"));
    struct statfs disk;
    if (::fstatfs(root.get(), &disk) < 0) return finish(failure(errno, kVerb, "/"));
    if (disk.f_blocks == 0) return finish(failure(Code::unsupported, 0, kVerb, "/", "the file system does not tell"));
    protocol::DiskStats answer;
    const auto block = static_cast<uint64_t>(disk.f_frsize != 0 ? disk.f_frsize : disk.f_bsize);
    answer.size = disk.f_blocks * block;
    answer.used = (disk.f_blocks - std::min(disk.f_bfree, disk.f_blocks)) * block;
    answer.inodes = disk.f_files;
    answer.inodes_used = disk.f_files - std::min(disk.f_ffree, disk.f_files);
    std::string body;
    protocol::encode(body, answer);
    finish_ok(std::move(body));
  }
};

}  // namespace

std::unique_ptr<Stream> make_stats(Loop& loop, uint32_t id) { return std::make_unique<Stats>(loop, id); }

}  // namespace svm::agent
