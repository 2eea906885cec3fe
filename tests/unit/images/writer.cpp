#include "writer.hpp"

#include <archive.h>
#include <archive_entry.h>

#include <memory>
#include <stdexcept>

namespace svm::images::test {

std::string compress(std::string_view bytes, Compression compression) {
  const std::unique_ptr<archive, int (*)(archive*)> out(::archive_write_new(), ::archive_write_free);
  const auto must = [&](int status) {
    if (status < ARCHIVE_OK) throw std::runtime_error(::archive_error_string(out.get()));
  };
  must(::archive_write_set_format_raw(out.get()));
  switch (compression) {
    case Compression::none: break;
    case Compression::gzip: must(::archive_write_add_filter_gzip(out.get())); break;
    case Compression::zstd: must(::archive_write_add_filter_zstd(out.get())); break;
    case Compression::xz: must(::archive_write_add_filter_xz(out.get())); break;
    case Compression::bzip2: must(::archive_write_add_filter_bzip2(out.get())); break;
  }
  must(::archive_write_set_bytes_per_block(out.get(), 0));
  std::string compressed;
  const auto append = [](archive*, void* to, const void* data, size_t size) {
    static_cast<std::string*>(to)->append(static_cast<const char*>(data), size);
    return static_cast<la_ssize_t>(size);
  };
  must(::archive_write_open(out.get(), &compressed, nullptr, append, nullptr));
  const std::unique_ptr<archive_entry, void (*)(archive_entry*)> one(::archive_entry_new(), ::archive_entry_free);
  ::archive_entry_set_filetype(one.get(), AE_IFREG);
  ::archive_entry_set_pathname(one.get(), "data");
  must(::archive_write_header(out.get(), one.get()));
  if (::archive_write_data(out.get(), bytes.data(), bytes.size()) != static_cast<la_ssize_t>(bytes.size()))
    throw std::runtime_error("compress");
  must(::archive_write_close(out.get()));
  return compressed;
}

std::string write_tree(TarFormat format, bool long_name) {
  const std::unique_ptr<archive, int (*)(archive*)> out(::archive_write_new(), ::archive_write_free);
  std::string bytes;
  const auto append = [](archive*, void* to, const void* data, size_t size) {
    static_cast<std::string*>(to)->append(static_cast<const char*>(data), size);
    return static_cast<la_ssize_t>(size);
  };
  const auto must = [&](int status) {
    if (status < ARCHIVE_OK) throw std::runtime_error(::archive_error_string(out.get()));
  };
  switch (format) {
    case TarFormat::ustar: must(::archive_write_set_format_ustar(out.get())); break;
    case TarFormat::pax: must(::archive_write_set_format_pax(out.get())); break;
    case TarFormat::pax_restricted: must(::archive_write_set_format_pax_restricted(out.get())); break;
    case TarFormat::gnu: must(::archive_write_set_format_gnutar(out.get())); break;
  }
  must(::archive_write_open(out.get(), &bytes, nullptr, append, nullptr));
  const auto add = [&](const std::string& path, unsigned type, unsigned mode, const std::string& data, const std::string& target, bool hard) {
    const std::unique_ptr<archive_entry, void (*)(archive_entry*)> one(::archive_entry_new(), ::archive_entry_free);
    ::archive_entry_set_pathname(one.get(), path.c_str());
    ::archive_entry_set_filetype(one.get(), type);
    ::archive_entry_set_perm(one.get(), mode);
    ::archive_entry_set_mtime(one.get(), 1'700'000'000, 123'456'789);
    ::archive_entry_set_size(one.get(), static_cast<la_int64_t>(data.size()));
    if (!target.empty() && hard) ::archive_entry_set_hardlink(one.get(), target.c_str());
    if (!target.empty() && !hard) ::archive_entry_set_symlink(one.get(), target.c_str());
    must(::archive_write_header(out.get(), one.get()));
    if (!data.empty() && ::archive_write_data(out.get(), data.data(), data.size()) < 0) throw std::runtime_error("write");
  };
  const std::string name = long_name ? std::string(120, 'n') : "n";
  add("./", AE_IFDIR, 0755, "", "", false);
  add("./usr/", AE_IFDIR, 0750, "", "", false);
  add("./usr/" + name, AE_IFREG, 0640, "hello", "", false);
  add("./usr/empty", AE_IFREG, 04755, "", "", false);
  add("./link", AE_IFLNK, 0777, "", "usr/" + name, false);
  add("./hard", AE_IFREG, 0640, "", "./usr/" + name, true);
  must(::archive_write_close(out.get()));
  return bytes;
}

}  // namespace svm::images::test
