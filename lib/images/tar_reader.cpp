#include "images/tar_reader.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <functional>

#include "core/error.hpp"
#include "images/tar_path.hpp"

namespace svm::images {
namespace {

constexpr uint64_t kMaxExtensionBytes = 1024 * 1024;  // pax records of one entry

[[noreturn]] void refuse(std::string what) { throw Error(Code::invalid, std::move(what)); }

[[noreturn]] void exceed(const char* limit, const char* what) {
  throw Error(Code::limit, what).with("limit", limit);
}

uint64_t hash_of(std::string_view path) { return std::hash<std::string_view>()(path); }

}  // namespace

/// What headers before an entry say about it.
struct TarReader::Extension {
  PaxRecords pax;
  bool has_pax = false;
  std::optional<std::string> gnu_name, gnu_target;
  bool any() const { return has_pax || gnu_name || gnu_target; }
};

TarReader::TarReader(std::unique_ptr<ByteSource> source, const TarLimits& limits) : source_(std::move(source)), limits_(limits) {}

TarReader TarReader::open(const Root& root, const TarLimits& limits) {
  Fd file(::open(root.path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (!file) throw errno_error(errno, "image: open");
  struct stat info;
  if (::fstat(file.get(), &info) < 0) throw errno_error(errno, "image: stat");
  if (!S_ISREG(info.st_mode) || info.st_dev != root.device || info.st_ino != root.inode)
    throw Error(Code::conflict, "image: the file was exchanged");
  return TarReader(open_source(std::move(file)), limits);
}

bool TarReader::next(TarEntry& out) {
  try {
    return next_unchecked(out);
  } catch (Error& error) {
    error.prefix("archive, entry " + std::to_string(entries_));
    throw;
  }
}

bool TarReader::next_unchecked(TarEntry& out) {
  for (;;) {
    pass_data();
    TarHeader header;
    if (ended_ || !read_entry(header)) return false;
    if (accept(header, out)) return true;
    ++skipped_;
  }
}

/// The next header that is an entry, with what those before it say about it.
bool TarReader::read_entry(TarHeader& out) {
  Extension extension;
  for (;;) {
    const std::string_view block = take_block();
    if (is_zero_block(block)) {
      if (extension.any()) refuse("the archive ends where an entry should follow");
      read_end();
      return false;
    }
    out = decode_tar_header(block);
    const bool is_extension = out.kind == TarKind::pax || out.kind == TarKind::pax_global || out.kind == TarKind::gnu_name ||
                              out.kind == TarKind::gnu_target;
    if (!is_extension) break;
    read_extension(out, extension);
  }
  if (++entries_ > limits_.entries) exceed("entries", "too many entries");
  if (extension.pax.path) out.name = std::move(*extension.pax.path);
  if (extension.pax.target) out.target = std::move(*extension.pax.target);
  if (extension.gnu_name) out.name = std::move(*extension.gnu_name);
  if (extension.gnu_target) out.target = std::move(*extension.gnu_target);
  // Before there was a type for directories it meant one; since then readers differ.
  if (out.kind == TarKind::file && out.name.ends_with('/')) refuse("'" + printable(out.name) + "': a file whose name ends in a slash");
  if (extension.pax.size) {
    if (*extension.pax.size != 0 && out.kind != TarKind::file) refuse("'" + printable(out.name) + "': data where none belongs");
    out.size = resolve_tar_size(out.size, *extension.pax.size);
  }
  if (out.size > limits_.bytes - taken_) exceed("bytes", "the archive is too large");
  data_left_ = out.size;
  padding_left_ = (kTarBlock - out.size % kTarBlock) % kTarBlock;
  return true;
}

/// Readers differ in which of two headers for one entry counts: there may be one kind of them, and one of each.
void TarReader::read_extension(const TarHeader& header, Extension& extension) {
  const bool is_gnu = header.kind == TarKind::gnu_name || header.kind == TarKind::gnu_target;
  const bool twice = header.kind == TarKind::gnu_name ? extension.gnu_name.has_value() : extension.gnu_target.has_value();
  if (is_gnu ? extension.has_pax || twice : extension.any()) refuse("two headers for one entry");
  const uint64_t limit = is_gnu ? kMaxTarTargetBytes + 1 : kMaxExtensionBytes;  // GNU's ends in a NUL
  if (header.size > limit) refuse("a name or a pax header is too long");
  const std::string body = read_body(header.size);
  switch (header.kind) {
    case TarKind::gnu_name: extension.gnu_name = decode_gnu_name(body); break;
    case TarKind::gnu_target: extension.gnu_target = decode_gnu_name(body); break;
    case TarKind::pax_global: {
      const PaxRecords records = decode_pax(body);
      if (records.path || records.target || records.size) refuse("a name or a size for all entries");
      break;
    }
    default:
      extension.pax = decode_pax(body);
      extension.has_pax = true;
  }
}

std::string TarReader::read_body(uint64_t size) {
  std::string body;
  data_left_ = size;
  padding_left_ = (kTarBlock - size % kTarBlock) % kTarBlock;
  for (std::string_view piece; data(piece);) body += piece;
  pass_data();
  return body;
}

/// After one block of zeros: another, and then nothing but zeros.
void TarReader::read_end() {
  if (!is_zero_block(take_block())) refuse("a block of zeros between entries");
  while (fill()) {
    if (!is_zero_block(take(waiting_.size()))) refuse("something follows the end of the archive");
  }
  ended_ = true;
}

/// Makes the header an entry. False: it is one of those that are skipped.
bool TarReader::accept(TarHeader& header, TarEntry& out) {
  const std::string name = printable(header.name);
  out = TarEntry();
  out.path = normalize_tar_path(header.name);
  path_bytes_ += out.path.size();
  if (header.kind == TarKind::symlink || header.kind == TarKind::hardlink) {
    if (header.target.empty() || header.target.size() > kMaxTarTargetBytes) refuse("'" + name + "': the link's target is empty or too long");
    path_bytes_ += header.target.size();
  }
  if (path_bytes_ > limits_.path_bytes) exceed("path_bytes", "the names are too long together");
  if (header.kind == TarKind::special || (!limits_.kernel_paths && is_kernel_path(out.path))) return false;
  if (out.path.empty()) {
    if (header.kind == TarKind::directory) return false;
    refuse("'" + name + "': the root is a directory");
  }
  out.mode = header.mode & 01777;
  switch (header.kind) {
    case TarKind::directory: out.type = TarEntry::Type::directory; break;
    case TarKind::symlink:
      out.type = TarEntry::Type::symlink;
      out.target = std::move(header.target);
      break;
    case TarKind::hardlink: {
      out.type = TarEntry::Type::hardlink;
      out.target = normalize_tar_path(header.target);
      const auto found = seen_.find(hash_of(out.target));
      if (out.target.empty() || found == seen_.end() || found->second != TarEntry::Type::file)
        refuse("'" + name + "': a hard link to what is not a file that came before");
      break;
    }
    default:
      out.type = TarEntry::Type::file;
      out.size = header.size;
  }
  note(out);
  return true;
}

/// Remembers the entry, and finds out whether its name may come now.
void TarReader::note(TarEntry& entry) {
  using Type = TarEntry::Type;
  note_parents(entry.path);
  // A hard link is a file from now on.
  const auto [seen, is_new] = seen_.emplace(hash_of(entry.path), entry.type == Type::hardlink ? Type::file : entry.type);
  if (is_new) return;
  if (entry.type != Type::directory || seen->second != Type::directory) refuse("'" + printable(entry.path) + "': the name comes twice");
  entry.repeated = true;
}

/// Directories that a name implies are as if they had come before it. A link to a directory may stand in for one: whoever unpacks
/// resolves it inside the new root.
void TarReader::note_parents(std::string_view path) {
  while (path.find('/') != std::string_view::npos) {
    path = path.substr(0, path.rfind('/'));
    const auto [seen, is_new] = seen_.emplace(hash_of(path), TarEntry::Type::directory);
    if (is_new) continue;
    if (seen->second == TarEntry::Type::file) refuse("'" + printable(path) + "': a file with names below it");
    return;
  }
}

bool TarReader::data(std::string_view& out) {
  if (data_left_ == 0) return false;
  if (!fill()) refuse("the archive ends early");
  out = take(std::min<uint64_t>(data_left_, waiting_.size()));
  data_left_ -= out.size();
  return true;
}

void TarReader::pass_data() {
  for (std::string_view piece; data(piece);) {
  }
  while (padding_left_ > 0) {
    if (!fill()) refuse("the archive ends early");
    padding_left_ -= take(std::min<uint64_t>(padding_left_, waiting_.size())).size();
  }
}

/// Makes sure that something waits. False: the end of the file.
bool TarReader::fill() {
  if (!waiting_.empty()) return true;
  waiting_ = source_->next();
  produced_ += waiting_.size();
  if (produced_ > limits_.ratio_free && (produced_ - limits_.ratio_free - 1) / limits_.ratio >= source_->consumed())
    exceed("ratio", "the archive is compressed too well");
  return !waiting_.empty();
}

std::string_view TarReader::take(uint64_t size) {
  const std::string_view taken = waiting_.substr(0, size);
  waiting_.remove_prefix(taken.size());
  taken_ += taken.size();
  if (taken_ > limits_.bytes) exceed("bytes", "the archive is too large");
  return taken;
}

/// One block, copied only where it comes in pieces.
std::string_view TarReader::take_block() {
  size_t have = 0;
  while (have < kTarBlock) {
    if (!fill()) refuse("the archive ends early");
    const std::string_view piece = take(std::min<uint64_t>(kTarBlock - have, waiting_.size()));
    if (piece.size() == kTarBlock) return piece;
    std::copy(piece.begin(), piece.end(), block_.begin() + static_cast<std::ptrdiff_t>(have));
    have += piece.size();
  }
  return {block_.data(), block_.size()};
}

}  // namespace svm::images
