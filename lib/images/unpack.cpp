#include "images/unpack.hpp"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace svm::images {
namespace {

constexpr uint32_t kUsable = 0700;  // what a directory needs while files are put into it

void write_file(const TarEntry& entry, TarReader& reader, TreeWriter& writer) {
  writer.begin_file(entry.path, entry.mode, entry.size);
  for (std::string_view bytes; reader.data(bytes);) writer.data(bytes);
  writer.commit_file();
}

}  // namespace

Unpacked unpack(TarReader& reader, TreeWriter& writer) {
  Unpacked done;
  std::vector<std::pair<std::string, uint32_t>> later;  // directories whose mode would be in the way, or came after their names
  TarEntry entry;
  while (reader.next(entry)) {
    switch (entry.type) {
      case TarEntry::Type::directory:
        if (!entry.repeated) writer.mkdir(entry.path, entry.mode | kUsable);
        if (entry.repeated || (entry.mode & kUsable) != kUsable) later.emplace_back(entry.path, entry.mode);
        break;
      case TarEntry::Type::file:
        write_file(entry, reader, writer);
        done.bytes += entry.size;
        break;
      case TarEntry::Type::symlink: writer.symlink(entry.path, entry.target); break;
      case TarEntry::Type::hardlink: writer.hardlink(entry.path, entry.target); break;
    }
    ++done.entries;
  }
  // A repeated directory's last mode counts, and a directory's own mode is set after those of what is below: first to last mentions of
  // one path stay in order, and deeper paths go first.
  std::stable_sort(later.begin(), later.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  for (const auto& [path, mode] : later) writer.chmod(path, mode);
  writer.finish();
  done.skipped = reader.skipped();
  return done;
}

}  // namespace svm::images
