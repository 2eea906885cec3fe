// Out of a sandbox.
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <stdexcept>
#include <system_error>

#include "copy.hpp"
#include "pipe.hpp"
#include "progress.hpp"
#include "staging.hpp"
#include "unpack.hpp"
#include "waiting.hpp"

namespace cli {
namespace {

namespace fs = std::filesystem;

/// Where it goes on this machine.
struct Place {
  std::string directory, name;  // name empty: the directory's own contents
  bool exists = false;          // what has the name
  std::string path() const { return name.empty() ? directory : below(directory, name); }
};

std::string parent_of(const std::string& path) {
  const std::string parent = fs::path(path).parent_path().string();
  return parent.empty() ? "." : parent;
}

Place place_of(const CopySide& from, const CopySide& to, bool is_tree) {
  struct stat info;
  const bool there = ::stat(to.path.c_str(), &info) == 0;
  if (!there && errno != ENOENT) throw std::system_error(errno, std::generic_category(), to.path);
  Place place;
  if (there && S_ISDIR(info.st_mode)) {
    place.directory = to.path;
    place.name = from.leaf();
    struct stat inner;
    place.exists = place.name.empty() || ::lstat(place.path().c_str(), &inner) == 0;
    return place;
  }
  if (to.is_directory) throw std::invalid_argument(to.path + (there ? " is no directory" : ": there is no such directory"));
  if (there && is_tree) throw std::invalid_argument(to.path + " is no directory, and " + from.shown() + " is one");
  // A file is written where a link to it leads.
  const std::string path = there ? fs::canonical(to.path).string() : to.path;
  place.directory = parent_of(path);
  place.name = fs::path(path).filename().string();
  place.exists = there;
  return place;
}

/// Passes the bytes of a file on; false: nobody takes them.
template <class Write>
void read_file(CopyContext& context, const std::string& path, Progress& progress, Write&& write) {
  stacyvm::Stream stream = context.sandbox.reader(path);
  for (;;) {
    stacyvm_chunk chunk;
    switch (stream.next(chunk, stacyvm::Timeout::none())) {
      case stacyvm::Stream::Next::end: return;
      case stacyvm::Stream::Next::again: wait_for(stream.fd(), POLLIN, context.signals); break;
      case stacyvm::Stream::Next::chunk:
        write(chunk.data, chunk.size);
        progress.add(chunk.size);
    }
  }
}

void set_time(int fd, int64_t mtime_ns) {
  const timespec time{mtime_ns / 1'000'000'000, mtime_ns % 1'000'000'000};
  const timespec times[] = {{0, UTIME_NOW}, time};
  if (::futimens(fd, times) < 0) throw std::system_error(errno, std::generic_category(), "cannot set the time of what came");
}

void to_descriptor(CopyContext& context, const std::string& path, Progress& progress, int fd) {
  read_file(context, path, progress, [&](const void* bytes, size_t size) {
    if (!write_shared(fd, bytes, size, context.signals)) throw ReaderGone();
  });
}

void download_file(CopyContext& context, const CopySide& from, const stacyvm_stat& stat, const CopySide& to, Progress& progress) {
  progress.add_file();
  if (to.is_stream) return to_descriptor(context, from.path, progress, STDOUT_FILENO);
  const Place place = place_of(from, to, false);
  const std::string path = place.path();
  struct stat there;
  if (place.exists && ::stat(path.c_str(), &there) == 0 && !S_ISREG(there.st_mode)) {
    if (S_ISDIR(there.st_mode)) throw std::invalid_argument(path + " is a directory");
    // A device or FIFO is written to, and not replaced.
    const Descriptor out(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
    if (!out) throw std::system_error(errno, std::generic_category(), "cannot open " + path);
    return to_descriptor(context, from.path, progress, out.get());
  }
  const Descriptor parent = open_directory(place.directory);
  Staging staging = Staging::file(parent.get());
  read_file(context, from.path, progress, [&](const void* bytes, size_t size) { (void)write_all(staging.fd(), bytes, size, context.signals); });
  set_time(staging.fd(), stat.mtime_ns);
  staging.place(place.name, stat.mode & 0777);
}

/// Unpacks what the call writes. Why the call failed says more than that the archive breaks off.
void unpack_call(CopyContext& context, const std::string& path, int directory, Progress& progress) {
  Pipe pipe;
  stacyvm::Op op = context.sandbox.get_file(path, pipe.write.get(), STACYVM_FILE_TAR);
  pipe.write.reset();
  bool ended = false;
  const Unpacking unpacking{[&](void* into, size_t most) {
                              const size_t n = read_some(pipe.read.get(), into, most, context.signals);
                              ended = n == 0;
                              return n;
                            },
                            [&](uint64_t bytes) { progress.add(bytes); }, [&] { progress.add_file(); }};
  try {
    unpack(directory, unpacking);
    char rest[4096];
    while (!ended) (void)unpacking.read(rest, sizeof rest);
  } catch (const Interrupted&) {
    op.cancel();
    throw;
  } catch (const std::exception&) {
    if (ended) wait_for(op, context.signals);
    op.cancel();
    throw;
  }
  wait_for(op, context.signals);
}

void download_tree(CopyContext& context, const CopySide& from, const stacyvm_stat& stat, const CopySide& to, Progress& progress) {
  if (to.is_stream) throw std::invalid_argument(from.shown() + " is a directory: only a file goes to standard output");
  const Place place = place_of(from, to, true);
  if (place.exists) {
    // Where it goes is a directory already, and no link to one.
    const Descriptor parent = open_directory(place.directory);
    Descriptor into(::openat(parent.get(), place.name.empty() ? "." : place.name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!into) throw std::system_error(errno, std::generic_category(), place.path() + " is in the way");
    Staging staging = Staging::directory(into.get());
    unpack_call(context, from.path, staging.fd(), progress);
    return staging.merge(into.get());
  }
  const Descriptor parent = open_directory(place.directory);
  Staging staging = Staging::directory(parent.get());
  unpack_call(context, from.path, staging.fd(), progress);
  set_time(staging.fd(), stat.mtime_ns);
  staging.place(place.name, stat.mode & 0777);
}

}  // namespace

Copied download(CopyContext& context, const CopySide& from, const CopySide& to) {
  const stacyvm_stat stat = context.sandbox.stat(from.path);
  if (stat.type != STACYVM_TYPE_FILE && stat.type != STACYVM_TYPE_DIRECTORY) throw std::invalid_argument(from.shown() + " is neither a file nor a directory");
  if (stat.type == STACYVM_TYPE_FILE && from.is_directory) throw std::invalid_argument(from.shown() + " is no directory");
  Progress progress(context.progress, from.shown(), stat.type == STACYVM_TYPE_FILE ? stat.size : 0);
  (stat.type == STACYVM_TYPE_FILE ? download_file : download_tree)(context, from, stat, to, progress);
  return {progress.bytes(), progress.files()};
}

}  // namespace cli
