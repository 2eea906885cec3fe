#include "agent/entries.hpp"

#include <dirent.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace svm::agent {
namespace {
constexpr size_t kBatchBytes = 64 * 1024;
}

bool EntryStream::on_turn() {
  {
    const ActAs as(loop_.context().rights, who());
    if (as.error()) {
      finish(failure(as.error(), "become user", {}));
      return false;
    }
    if (!collected_) {
      if (!collect()) return !finished();
      std::sort(names_.begin(), names_.end());
      collected_ = true;
      return !finished();
    }
    for (unsigned i = 0; i < kStepEntries && next_ < names_.size() && batch_.size() < kBatchBytes; ++i, ++next_) {
      protocol::Entry entry;
      if (!describe(names_[next_], entry.info)) continue;
      entry.name = std::move(names_[next_]);
      protocol::encode(batch_, entry);
    }
  }
  if (!batch_.empty() && (batch_.size() >= kBatchBytes || next_ == names_.size()) && !send()) return false;
  if (next_ < names_.size()) return true;
  finish_ok();
  return false;
}

bool EntryStream::send() {
  // A batch goes whole: an entry is never cut between two frames.
  if (credit() < batch_.size() || loop_.connection().congested()) return false;
  std::memcpy(loop_.connection().data(), batch_.data(), batch_.size());
  send_data(protocol::DataKind::entry, batch_.size());
  batch_.clear();
  return true;
}

void EntryStream::finish_too_many(std::string_view verb, std::string_view path, size_t limit) {
  finish(failure(Code::limit, 0, verb, path, "more than " + std::to_string(limit) + " entries"));
}

size_t entry_limit(uint32_t limit) noexcept { return limit == 0 ? kMaxEntries : std::min<size_t>(limit, kMaxEntries); }

int DirectoryReader::read(std::vector<Name>& out) {
  alignas(dirent64) char buffer[kReadDirBytes];
  const long n = ::syscall(SYS_getdents64, fd_.get(), buffer, sizeof buffer);
  if (n < 0) return -errno;
  for (long at = 0; at < n;) {
    const auto* entry = reinterpret_cast<const dirent64*>(buffer + at);
    at += entry->d_reclen;
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") out.push_back({std::string(name), entry->d_type});
  }
  return n > 0;
}

}  // namespace svm::agent
