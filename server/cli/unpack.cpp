#include "unpack.hpp"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <exception>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <system_error>

#include "descriptor.hpp"

namespace cli {
namespace {

constexpr size_t kReadBytes = 128 * 1024;
constexpr int kHow = ARCHIVE_EXTRACT_PERM | ARCHIVE_EXTRACT_TIME | ARCHIVE_EXTRACT_SPARSE | ARCHIVE_EXTRACT_SECURE_SYMLINKS |
                     ARCHIVE_EXTRACT_SECURE_NODOTDOT | ARCHIVE_EXTRACT_SECURE_NOABSOLUTEPATHS;

struct Free {
  void operator()(archive* handle) const noexcept { (void)::archive_free(handle); }
};
using Archive = std::unique_ptr<archive, Free>;

/// libarchive's names are relative to the working directory.
class WorkingDirectory {
 public:
  explicit WorkingDirectory(int directory) : before_(::open(".", O_PATH | O_DIRECTORY | O_CLOEXEC)) {
    if (!before_ || ::fchdir(directory) < 0) throw std::system_error(errno, std::generic_category(), "cannot change the working directory");
  }
  ~WorkingDirectory() {
    if (::fchdir(before_.get()) < 0) return;  // it was open: then nothing relative is used any more
  }
  WorkingDirectory(const WorkingDirectory&) = delete;
  WorkingDirectory& operator=(const WorkingDirectory&) = delete;

 private:
  Descriptor before_;
};

class Unpacker {
 public:
  explicit Unpacker(const Unpacking& unpacking) : unpacking_(unpacking), in_(::archive_read_new()), out_(::archive_write_disk_new()) {
    if (!in_ || !out_) throw std::bad_alloc();
    check(in_.get(), ::archive_read_support_format_tar(in_.get()));
    check(out_.get(), ::archive_write_disk_set_options(out_.get(), kHow));
    check(in_.get(), ::archive_read_open(in_.get(), this, nullptr, &Unpacker::read, nullptr));
  }

  void run() {
    archive_entry* entry = nullptr;
    for (int status; (status = ::archive_read_next_header(in_.get(), &entry)) != ARCHIVE_EOF;) {
      check(in_.get(), status);
      take(entry);
    }
    name_.clear();
    check(out_.get(), ::archive_write_close(out_.get()));  // permissions and times of directories
  }

 private:
  void take(archive_entry* entry) {
    const char* path = ::archive_entry_pathname(entry);
    name_ = path ? path : "";
    if (name_.empty()) throw std::runtime_error("the archive has an entry without a name");
    if (::archive_entry_hardlink(entry)) {
      ::archive_entry_unset_size(entry);  // its content is there already
    } else if (const auto type = ::archive_entry_filetype(entry); type != AE_IFREG && type != AE_IFDIR && type != AE_IFLNK) {
      throw std::runtime_error("the archive has " + name_ + ", which is no file, directory or link");
    } else if (type == AE_IFREG) {
      unpacking_.began_file();
    }
    ::archive_entry_set_perm(entry, ::archive_entry_perm(entry) & 0777);
    check(out_.get(), ::archive_write_header(out_.get(), entry));
    const void* data = nullptr;
    size_t size = 0;
    la_int64_t offset = 0;
    for (int status; (status = ::archive_read_data_block(in_.get(), &data, &size, &offset)) != ARCHIVE_EOF;) {
      check(in_.get(), status);
      check(out_.get(), ::archive_write_data_block(out_.get(), data, size, offset) < 0 ? ARCHIVE_FATAL : ARCHIVE_OK);
      unpacking_.wrote(size);
    }
    check(out_.get(), ::archive_write_finish_entry(out_.get()));
  }

  /// Exceptions do not pass through C.
  static la_ssize_t read(archive* handle, void* self, const void** bytes) {
    auto& unpacker = *static_cast<Unpacker*>(self);
    try {
      const size_t n = unpacker.unpacking_.read(unpacker.buffer_.data(), unpacker.buffer_.size());
      *bytes = unpacker.buffer_.data();
      return static_cast<la_ssize_t>(n);
    } catch (...) {
      unpacker.thrown_ = std::current_exception();
      ::archive_set_error(handle, EIO, "reading failed");
      return ARCHIVE_FATAL;
    }
  }

  /// A warning is that something could not be done as the archive has it: no reason to go on without it.
  void check(archive* handle, int status) {
    if (thrown_) std::rethrow_exception(thrown_);
    if (status == ARCHIVE_OK) return;
    const char* text = ::archive_error_string(handle);
    throw std::runtime_error((name_.empty() ? std::string("cannot unpack what came: ") : "cannot unpack " + name_ + ": ") + (text ? text : "unknown error"));
  }

  const Unpacking& unpacking_;
  std::array<char, kReadBytes> buffer_{};
  std::exception_ptr thrown_;
  std::string name_;  // of the entry at work
  Archive in_, out_;
};

}  // namespace

void unpack(int directory, const Unpacking& unpacking) {
  const WorkingDirectory here(directory);
  std::make_unique<Unpacker>(unpacking)->run();
}

}  // namespace cli
