// An image's /etc/passwd and /etc/group. The first line is the user asked for, the rest is both files.
#include <algorithm>

#include "agent/users.hpp"
#include "harness.hpp"

using namespace svm::agent;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view in = svm::fuzz::text(data, size);
  const size_t end = std::min(in.find('\n'), in.size());
  const std::string_view name = in.substr(0, end), database = in.substr(std::min(end + 1, in.size()));

  if (const auto spec = parse_user_spec(name)) {
    SVM_INVARIANT(!spec->user.empty());
    SVM_INVARIANT(spec->group.empty() ? spec->user == name : std::string(spec->user) + ':' + std::string(spec->group) == name);
  }
  if (const auto id = parse_id(name)) SVM_INVARIANT(parse_id(std::to_string(*id)) == id);

  if (const auto entry = find_user(database, name)) {
    SVM_INVARIANT(entry->name == name && entry->uid != UINT32_MAX && entry->gid != UINT32_MAX);
    SVM_INVARIANT(database.find(entry->home) != database.npos);
    const auto same_id = find_user(database, entry->uid);
    SVM_INVARIANT(same_id && same_id->uid == entry->uid);
  }
  if (const auto gid = find_group(database, name)) SVM_INVARIANT(*gid != UINT32_MAX);

  constexpr size_t kLimit = 32;
  const std::vector<uint32_t> all = groups_of(database, name, kLimit), one = groups_of(database, name, 1);
  SVM_INVARIANT(all.size() <= kLimit && one.size() == std::min<size_t>(all.size(), 1));
  if (!one.empty()) SVM_INVARIANT(one[0] == all[0]);
  std::vector<uint32_t> sorted = all;
  std::sort(sorted.begin(), sorted.end());
  SVM_INVARIANT(std::adjacent_find(sorted.begin(), sorted.end()) == sorted.end());
  return 0;
}
