// Decompression by libarchive. Its tar reader is not used: it settles silently what we refuse (images/tar_header.hpp).
#include "images/byte_source.hpp"

#include <archive.h>

#include <cerrno>
#include <exception>
#include <new>
#include <string>
#include <utility>

#include "core/error.hpp"

namespace svm::images {
namespace {

constexpr size_t kReadBytes = 64 * 1024;

class Decompressor final : public ByteSource {
 public:
  explicit Decompressor(Fd file) : Decompressor() {
    file_ = std::move(file);
    start(::archive_read_open_fd(archive_.get(), file_.get(), kReadBytes));
  }
  explicit Decompressor(std::string_view bytes) : Decompressor() {
    start(::archive_read_open_memory(archive_.get(), bytes.data(), bytes.size()));
  }

  explicit Decompressor(std::function<std::string_view()> pull) : Decompressor() {
    pull_ = std::move(pull);
    start(::archive_read_open(archive_.get(), this, nullptr, &Decompressor::read, nullptr));
  }

  std::string_view next() override {
    while (!ended_) {
      const void* data = nullptr;
      size_t size = 0;
      la_int64_t offset = 0;
      const int status = ::archive_read_data_block(archive_.get(), &data, &size, &offset);
      if (status == ARCHIVE_EOF) {
        ended_ = true;
      } else if (status != ARCHIVE_OK) {
        fail();
      } else if (size > 0) {
        return {static_cast<const char*>(data), size};
      }
    }
    return {};
  }

  uint64_t consumed() const noexcept override {
    const la_int64_t bytes = ::archive_filter_bytes(archive_.get(), -1);
    return bytes > 0 ? static_cast<uint64_t>(bytes) : 0;
  }

 private:
  struct Free {
    void operator()(archive* handle) const noexcept { (void)::archive_read_free(handle); }
  };

  Decompressor() : archive_(::archive_read_new()) {
    if (!archive_) throw std::bad_alloc();
    // Each answers ARCHIVE_WARN where it would start a program instead of using a library: then it is not there.
    for (const auto add : {::archive_read_support_filter_gzip, ::archive_read_support_filter_zstd, ::archive_read_support_filter_xz,
                           ::archive_read_support_filter_bzip2, ::archive_read_support_format_raw, ::archive_read_support_format_empty})
      if (add(archive_.get()) != ARCHIVE_OK) throw Error(Code::unsupported, "archive: libarchive lacks a filter");
  }

  /// No exception may pass through libarchive: it comes out of fail().
  static la_ssize_t read(archive*, void* self, const void** data) noexcept {
    auto& source = *static_cast<Decompressor*>(self);
    try {
      const std::string_view piece = source.pull_();
      *data = piece.data();
      return static_cast<la_ssize_t>(piece.size());
    } catch (...) {
      source.thrown_ = std::current_exception();
      return ARCHIVE_FATAL;
    }
  }

  void start(int status) {
    if (status != ARCHIVE_OK) fail();
    archive_entry* entry = nullptr;
    status = ::archive_read_next_header(archive_.get(), &entry);
    ended_ = status == ARCHIVE_EOF;  // an empty file
    if (!ended_ && status != ARCHIVE_OK) fail();
    // The file itself counts as one.
    if (::archive_filter_count(archive_.get()) > 2) throw Error(Code::invalid, "archive: compressed more than once");
  }

  [[noreturn]] void fail() {
    if (thrown_) std::rethrow_exception(std::exchange(thrown_, nullptr));
    const int error = ::archive_errno(archive_.get());
    const char* text = ::archive_error_string(archive_.get());
    // libarchive's own numbers (damage, programmer) are outside of errno's; EILSEQ and EINVAL it takes for damage.
    const bool io = error == EIO || error == EISDIR || error == EACCES || error == ENOMEM;
    throw Error(io ? Code::io : Code::invalid, std::string("archive: ") + (text ? text : "cannot be read"));
  }

  Fd file_;
  std::function<std::string_view()> pull_;
  std::exception_ptr thrown_;
  std::unique_ptr<archive, Free> archive_;
  bool ended_ = false;
};

}  // namespace

std::unique_ptr<ByteSource> open_source(Fd file) { return std::make_unique<Decompressor>(std::move(file)); }
std::unique_ptr<ByteSource> open_source(std::function<std::string_view()> pull) { return std::make_unique<Decompressor>(std::move(pull)); }
std::unique_ptr<ByteSource> open_source(std::string_view bytes) { return std::make_unique<Decompressor>(bytes); }

}  // namespace svm::images
