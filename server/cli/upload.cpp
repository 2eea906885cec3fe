// Into a sandbox.
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <optional>
#include <random>
#include <stdexcept>
#include <system_error>
#include <vector>

#include "../text/text.hpp"
#include "copy.hpp"
#include "output.hpp"
#include "pack.hpp"
#include "pipe.hpp"
#include "progress.hpp"
#include "staging.hpp"
#include "waiting.hpp"

namespace cli {
namespace {

constexpr size_t kReadBytes = 256 * 1024;

std::optional<stacyvm_stat> look(stacyvm::Sandbox& sandbox, const std::string& path) {
  try {
    return sandbox.stat(path);
  } catch (const stacyvm::Error& error) {
    if (error.code() != STACYVM_E_FILE_NOT_FOUND) throw;
    return std::nullopt;
  }
}

bool is_directory(const std::optional<stacyvm_stat>& stat) { return stat && stat->type == STACYVM_TYPE_DIRECTORY; }

/// Where it goes inside.
std::string target_of(CopyContext& context, const CopySide& from, const CopySide& to) {
  const auto there = look(context.sandbox, to.path);
  if (is_directory(there)) {
    if (from.is_stream) throw std::invalid_argument(to.shown() + " is a directory: standard input needs a file's name");
    return from.leaf().empty() ? to.path : below(to.path, from.leaf());
  }
  if (to.is_directory) throw std::invalid_argument(to.shown() + (there ? " is no directory" : ": there is no such directory"));
  return to.path;
}

void upload_file(CopyContext& context, int file, unsigned mode, const std::string& path, Progress& progress) {
  stacyvm::Stream stream = context.sandbox.writer(path, mode, STACYVM_FILE_NO_PARENTS);
  std::vector<char> buffer(kReadBytes);
  progress.add_file();
  while (const size_t n = read_some(file, buffer.data(), buffer.size(), context.signals)) {
    for (std::string_view rest(buffer.data(), n); !rest.empty();) {
      const uint64_t taken = stream.write(rest, stacyvm::Timeout::none());
      rest.remove_prefix(taken);
      if (taken == 0) wait_for(stream.fd(true), POLLIN, context.signals);
    }
    progress.add(n);
  }
  while (!stream.finish(stacyvm::Timeout::none())) wait_for(stream.fd(), POLLIN, context.signals);
}

/// Sends the tree to a call that unpacks it. Why the call failed says more than that it reads no more.
void pack_call(CopyContext& context, int directory, const std::string& path, Progress& progress) {
  Pipe pipe;
  stacyvm::Op op = context.sandbox.put_file(path, pipe.read.get(), STACYVM_FILE_TAR);
  pipe.read.reset();
  const Packing packing{[&](const void* bytes, size_t size) {
                          if (write_all(pipe.write.get(), bytes, size, context.signals)) return;
                          wait_for(op, context.signals);
                          throw std::runtime_error("the sandbox took no more of what was sent");
                        },
                        [&](uint64_t bytes) { progress.add(bytes); }, [&] { progress.add_file(); },
                        [&](const std::string& left_out) { complain(left_out + " is left out: it is no file, directory or symbolic link"); }};
  try {
    pack(directory, packing);
  } catch (...) {
    op.cancel();
    throw;
  }
  pipe.write.reset();
  wait_for(op, context.signals);
}

/// A tree on its way, under a name of its own.
class StagedInside {
 public:
  StagedInside(CopyContext& context, const std::string& target) : context_(context) {
    std::random_device random;
    path_ = std::string(std::filesystem::path(target).parent_path()) + "/.stacyvm-cp-";
    for (int i = 0; i < 4; ++i) path_ += std::to_string(random());
    const auto parent = look(context.sandbox, std::filesystem::path(target).parent_path());
    if (!is_directory(parent)) throw std::invalid_argument(target + ": there is no directory for it");
  }
  ~StagedInside() {
    if (path_.empty()) return;
    try {
      if (look(context_.sandbox, path_)) call("file.remove", "\"path\":" + text::json_string(path_) + ",\"recursive\":true");
    } catch (const std::exception& error) {
      complain(path_ + " is left in the sandbox: " + error.what());
    }
  }
  const std::string& path() const noexcept { return path_; }
  void place(const std::string& target, unsigned mode) {
    call("file.chmod", "\"path\":" + text::json_string(path_) + ",\"mode\":\"" + octal(mode) + '"');
    call("file.move", "\"old_path\":" + text::json_string(path_) + ",\"new_path\":" + text::json_string(target) + ",\"replace\":false");
    path_.clear();
  }

 private:
  static std::string octal(unsigned mode) { return {'0', static_cast<char>('0' + (mode >> 6 & 7)), static_cast<char>('0' + (mode >> 3 & 7)), static_cast<char>('0' + (mode & 7))}; }
  void call(const char* operation, const std::string& members) { (void)context_.session.call(operation, {{"id", context_.sandbox.id()}}, '{' + members + '}'); }
  CopyContext& context_;
  std::string path_;
};

void upload_tree(CopyContext& context, const CopySide& from, unsigned mode, const std::string& target, Progress& progress) {
  const Descriptor directory = open_directory(from.path);
  const auto there = look(context.sandbox, target);
  if (there && there->type != STACYVM_TYPE_DIRECTORY) throw std::invalid_argument(target + " is in the way: it is no directory");
  if (there) return pack_call(context, directory.get(), target, progress);
  StagedInside staged(context, target);
  pack_call(context, directory.get(), staged.path(), progress);
  staged.place(target, mode);
}

}  // namespace

Copied upload(CopyContext& context, const CopySide& from, const CopySide& to) {
  if (from.is_stream) {
    const std::string target = target_of(context, from, to);
    Progress progress(context.progress, to.shown());
    upload_file(context, STDIN_FILENO, 0, target, progress);
    return {progress.bytes(), progress.files()};
  }
  const Descriptor source(::open(from.path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  struct stat info;
  if (!source || ::fstat(source.get(), &info) < 0) throw std::system_error(errno, std::generic_category(), "cannot read " + from.path);
  const bool tree = S_ISDIR(info.st_mode);
  if (!tree && from.is_directory) throw std::invalid_argument(from.path + " is no directory");
  const std::string target = target_of(context, from, to);
  Progress progress(context.progress, from.path, S_ISREG(info.st_mode) ? static_cast<uint64_t>(info.st_size) : 0);
  if (tree)
    upload_tree(context, from, info.st_mode & 0777, target, progress);
  else
    upload_file(context, source.get(), S_ISREG(info.st_mode) ? info.st_mode & 0777 : 0, target, progress);
  return {progress.bytes(), progress.files()};
}

}  // namespace cli
