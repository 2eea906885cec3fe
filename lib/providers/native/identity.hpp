// The default user of a sandbox.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace svm::providers::native {

struct User {
  uint32_t uid = 1000, gid = 1000;
  std::string name = "user";
};
/// "" and "user": 1000; "root": 0; "nobody": 65534; "UID" or "UID:GID" up to 65534. Throws Error invalid (field user).
User default_user(std::string_view text);

}  // namespace svm::providers::native
