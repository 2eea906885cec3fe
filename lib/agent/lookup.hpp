// From a request's user to an Identity, through the sandbox's own /etc/passwd and /etc/group.
#pragma once
#include <optional>
#include <string_view>

#include "agent/identity.hpp"
#include "agent/loop.hpp"
#include "protocol/message.hpp"

namespace svm::agent {

inline constexpr size_t kMaxDatabaseBytes = 1024 * 1024;  // of /etc/passwd or /etc/group that are looked at

Identity default_identity(const protocol::Hello& hello);

/// Empty: the default user. A uid without an entry gets the group of the same number. A group that is named replaces the
/// supplementary ones. On failure fills `why` (the agent's own ids are nobody's to take).
std::optional<Identity> find_identity(const Context& context, std::string_view user, protocol::Result& why);

/// Numbers for chown; UINT32_MAX leaves the id as it is.
struct Owner {
  uint32_t uid = UINT32_MAX, gid = UINT32_MAX;
};
/// `owner` and `group` are names of the sandbox's databases or numbers, or empty: it stays. On failure fills `why`, which names the field.
std::optional<Owner> find_owner(const Context& context, std::string_view owner, std::string_view group, protocol::Result& why);

}  // namespace svm::agent
