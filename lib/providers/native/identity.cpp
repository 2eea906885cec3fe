#include "providers/native/identity.hpp"

#include <charconv>

#include "core/error.hpp"

namespace svm::providers::native {
namespace {

constexpr uint32_t kMaxId = 65'534;

bool parse_id(std::string_view text, uint32_t& out) noexcept {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size() && out <= kMaxId;
}

}  // namespace

User default_user(std::string_view text) {
  if (text.empty() || text == "user") return {};
  if (text == "root") return {0, 0, "root"};
  if (text == "nobody") return {65'534, 65'534, "nobody"};
  User user;
  user.name = "sandbox";
  const size_t colon = text.find(':');
  if (!parse_id(text.substr(0, colon), user.uid)) throw Error(Code::invalid, "user: give user, root, nobody, UID or UID:GID, at most 65534").with("field", "user");
  user.gid = user.uid;
  if (colon != text.npos && !parse_id(text.substr(colon + 1), user.gid))
    throw Error(Code::invalid, "user: the group is a number up to 65534").with("field", "user");
  if (user.uid == 0) user.name = "root";
  if (user.uid == 1000) user.name = "user";
  return user;
}

}  // namespace svm::providers::native
