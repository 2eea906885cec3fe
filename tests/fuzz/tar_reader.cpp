// The tar reader, decompression included. Whatever is handed out must keep the promises of TarEntry; read whole or in pieces of any
// size, an archive means the same.
#include <algorithm>
#include <memory>

#include "core/error.hpp"
#include "harness.hpp"
#include "images/tar_path.hpp"
#include "images/tar_reader.hpp"

using namespace svm::images;

namespace {

constexpr TarLimits kLimits{.entries = 1000, .bytes = 4 << 20, .path_bytes = 1 << 20, .ratio = 100, .ratio_free = 1 << 20};

class Pieces final : public ByteSource {
 public:
  Pieces(std::string_view bytes, size_t step) : bytes_(bytes), step_(step) {}
  std::string_view next() override {
    const std::string_view piece = bytes_.substr(0, step_);
    bytes_.remove_prefix(piece.size());
    consumed_ += piece.size();
    return piece;
  }
  uint64_t consumed() const noexcept override { return consumed_; }

 private:
  std::string_view bytes_;
  size_t step_;
  uint64_t consumed_ = 0;
};

void check_entry(const TarEntry& entry) {
  SVM_INVARIANT(!entry.path.empty() && entry.path.size() <= kMaxTarPathBytes);
  SVM_INVARIANT(normalize_tar_path(entry.path) == entry.path);  // throws for ".." and NUL
  SVM_INVARIANT(!is_kernel_path(entry.path));
  SVM_INVARIANT((entry.mode & ~01777u) == 0);
  const bool is_link = entry.type == TarEntry::Type::symlink || entry.type == TarEntry::Type::hardlink;
  SVM_INVARIANT(is_link != entry.target.empty());
  SVM_INVARIANT(entry.target.size() <= kMaxTarTargetBytes && entry.target.find('\0') == std::string::npos);
  if (entry.type == TarEntry::Type::hardlink) SVM_INVARIANT(normalize_tar_path(entry.target) == entry.target);
  SVM_INVARIANT(entry.size == 0 || entry.type == TarEntry::Type::file);
  SVM_INVARIANT(!entry.repeated || entry.type == TarEntry::Type::directory);
}

/// Everything that was handed out, and how it ended.
std::string read_all(std::unique_ptr<ByteSource> source) {
  std::string out;
  try {
    TarReader reader(std::move(source), kLimits);
    for (TarEntry entry; reader.next(entry);) {
      check_entry(entry);
      out += entry.path + '\n' + entry.target + '\n' + std::to_string(entry.mode) + '\n';
      uint64_t bytes = 0;
      for (std::string_view piece; reader.data(piece); bytes += piece.size()) {
        SVM_INVARIANT(!piece.empty());
        out += piece;
      }
      SVM_INVARIANT(bytes == entry.size);
    }
    return out + "end " + std::to_string(reader.skipped());
  } catch (const svm::Error& error) {
    SVM_INVARIANT(error.code() == svm::Code::invalid || error.code() == svm::Code::limit);
    SVM_INVARIANT(std::all_of(error.message().begin(), error.message().end(), [](char c) { return c >= ' ' && c <= '~'; }));
    return out + error.message();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view in = svm::fuzz::text(data + 1, size - 1);
  std::unique_ptr<ByteSource> source;
  try {
    source = open_source(in);
  } catch (const svm::Error& error) {
    SVM_INVARIANT(error.code() == svm::Code::invalid);
  }
  if (source) (void)read_all(std::move(source));
  // Undecoded, so that the parser sees every byte as it is.
  const std::string whole = read_all(std::make_unique<Pieces>(in, in.size() + 1));
  SVM_INVARIANT(whole == read_all(std::make_unique<Pieces>(in, static_cast<size_t>(data[0]) + 1)) || in.size() > kLimits.bytes);
  return 0;
}
