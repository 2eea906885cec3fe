#include "pack.hpp"

#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <exception>
#include <memory>
#include <new>
#include <stdexcept>
#include <system_error>
#include <vector>

#include "descriptor.hpp"

namespace cli {
namespace {

constexpr size_t kReadBytes = 128 * 1024;

[[noreturn]] void fail(int error, const std::string& what) { throw std::system_error(error, std::generic_category(), what); }

class Packer {
 public:
  explicit Packer(const Packing& packing) : packing_(packing), out_(::archive_write_new()), entry_(::archive_entry_new()), buffer_(kReadBytes) {
    if (!out_ || !entry_) throw std::bad_alloc();
    check(::archive_write_set_format_pax_restricted(out_.get()));
    // Names are bytes, and stay them.
    check(::archive_write_set_format_option(out_.get(), "pax", "hdrcharset", "BINARY"));
    check(::archive_write_set_bytes_in_last_block(out_.get(), 1));
    check(::archive_write_open(out_.get(), this, nullptr, &Packer::write, nullptr));
  }

  /// `where`: the directory's path and a slash, or "".
  void directory(Descriptor own, const std::string& where) {
    const int fd = own.get();
    const std::unique_ptr<DIR, int (*)(DIR*)> entries(::fdopendir(fd), &::closedir);
    if (!entries) fail(errno, "cannot read the directory " + where);
    own.release();  // the stream's now
    for (;;) {
      errno = 0;
      const dirent* found = ::readdir(entries.get());
      if (!found) break;
      const std::string name = found->d_name;
      if (name != "." && name != "..") add(fd, name, where + name);
    }
    if (errno) fail(errno, "cannot read the directory " + where);
  }

  void end() { check(::archive_write_close(out_.get())); }

 private:
  void add(int parent, const std::string& name, const std::string& path) {
    struct stat info;
    if (::fstatat(parent, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) < 0) {
      if (errno == ENOENT) return;  // it has gone meanwhile
      fail(errno, "cannot look at " + path);
    }
    if (S_ISDIR(info.st_mode)) {
      Descriptor child(::openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
      if (!child) fail(errno, "cannot read the directory " + path);
      header(path, info, AE_IFDIR);
      directory(std::move(child), path + '/');
    } else if (S_ISLNK(info.st_mode)) {
      char target[PATH_MAX + 1];
      const ssize_t size = ::readlinkat(parent, name.c_str(), target, sizeof target - 1);
      if (size < 0) fail(errno, "cannot read the link " + path);
      target[size] = 0;
      header(path, info, AE_IFLNK, target);
    } else if (S_ISREG(info.st_mode)) {
      file(parent, name, path);
    } else {
      packing_.left_out(path);
    }
  }

  void file(int parent, const std::string& name, const std::string& path) {
    const Descriptor file(::openat(parent, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    struct stat info;
    if (!file || ::fstat(file.get(), &info) < 0) fail(errno, "cannot read " + path);
    if (!S_ISREG(info.st_mode)) return packing_.left_out(path);
    packing_.began_file();
    header(path, info, AE_IFREG);
    // As long as the header says: what is added to it meanwhile stays out.
    for (auto left = static_cast<uint64_t>(info.st_size); left > 0;) {
      const ssize_t n = ::read(file.get(), buffer_.data(), std::min<uint64_t>(left, buffer_.size()));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) fail(errno, "cannot read " + path);
      if (n == 0) throw std::runtime_error(path + " became shorter while it was read");
      if (::archive_write_data(out_.get(), buffer_.data(), static_cast<size_t>(n)) != n) check(ARCHIVE_FATAL);
      left -= static_cast<uint64_t>(n);
      packing_.took(static_cast<uint64_t>(n));
    }
  }

  void header(const std::string& path, const struct stat& info, unsigned type, const char* target = nullptr) {
    ::archive_entry_clear(entry_.get());
    ::archive_entry_copy_pathname(entry_.get(), path.c_str());
    ::archive_entry_set_filetype(entry_.get(), type);
    ::archive_entry_set_perm(entry_.get(), info.st_mode & 0777);
    ::archive_entry_set_mtime(entry_.get(), info.st_mtim.tv_sec, info.st_mtim.tv_nsec);
    ::archive_entry_set_size(entry_.get(), type == AE_IFREG ? info.st_size : 0);
    if (target) ::archive_entry_copy_symlink(entry_.get(), target);
    check(::archive_write_header(out_.get(), entry_.get()));
  }

  /// Exceptions do not pass through C.
  static la_ssize_t write(archive* handle, void* self, const void* bytes, size_t size) {
    auto& packer = *static_cast<Packer*>(self);
    try {
      if (packer.thrown_) return ARCHIVE_FATAL;
      packer.packing_.write(bytes, size);
      return static_cast<la_ssize_t>(size);
    } catch (...) {
      packer.thrown_ = std::current_exception();
      ::archive_set_error(handle, EIO, "writing failed");
      return ARCHIVE_FATAL;
    }
  }

  void check(int status) {
    if (thrown_) std::rethrow_exception(thrown_);
    if (status == ARCHIVE_OK) return;
    const char* text = ::archive_error_string(out_.get());
    throw std::runtime_error(std::string("cannot pack: ") + (text ? text : "unknown error"));
  }

  struct Free {
    void operator()(archive* handle) const noexcept { (void)::archive_free(handle); }
    void operator()(archive_entry* entry) const noexcept { ::archive_entry_free(entry); }
  };
  const Packing& packing_;
  std::exception_ptr thrown_;  // before the archive, which writes at its end
  std::unique_ptr<archive, Free> out_;
  std::unique_ptr<archive_entry, Free> entry_;
  std::vector<char> buffer_;
};

}  // namespace

void pack(int directory, const Packing& packing) {
  Packer packer(packing);
  Descriptor own(::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!own) fail(errno, "cannot read the directory");
  packer.directory(std::move(own), "");
  packer.end();
}

}  // namespace cli
