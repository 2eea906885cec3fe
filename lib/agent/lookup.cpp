#include "agent/lookup.hpp"

#include <fcntl.h>

#include <algorithm>

#include "agent/failure.hpp"
#include "agent/users.hpp"
#include "core/fd.hpp"

namespace svm::agent {
namespace {

/// The file's beginning; empty where there is none (an image need not have one).
std::string read_database(const Context& context, const char* path) {
  const ActAs as(context.rights, default_identity(context.hello));
  Fd fd;
  struct stat info;
  if (as.error() != 0 || context.root.content(path, O_RDONLY, fd, info) != 0 || !S_ISREG(info.st_mode)) return {};
  std::string text(std::min(static_cast<size_t>(info.st_size), kMaxDatabaseBytes), '\0');
  const long n = read_all(fd.get(), text.data(), text.size());
  text.resize(n > 0 ? static_cast<size_t>(n) : 0);
  // A last line that was cut could name another id.
  if (text.size() == kMaxDatabaseBytes) text.resize(text.rfind('\n') + 1);
  return text;
}

}  // namespace

Identity default_identity(const protocol::Hello& hello) {
  Identity who;
  who.uid = hello.uid;
  who.gid = hello.gid;
  who.groups = hello.groups;
  return who;
}

std::optional<Identity> find_identity(const Context& context, std::string_view user, protocol::Result& why) {
  Identity who = default_identity(context.hello);
  if (user.empty()) return who;
  const auto refuse = [&](Code code, std::string_view detail) {
    why = failure(code, 0, "user", user, detail);
    why.subject = protocol::Subject::user;
    return std::nullopt;
  };
  const auto spec = parse_user_spec(user);
  if (!spec) return refuse(Code::invalid, "must be a name or a number, with an optional :group");

  const std::string passwd = read_database(context, "/etc/passwd");
  const std::string group = read_database(context, "/etc/group");
  who.named = true;
  who.groups.clear();
  auto entry = find_user(passwd, spec->user);
  const auto uid = parse_id(spec->user);
  if (!entry && uid) entry = find_user(passwd, *uid);
  if (entry) {
    who.uid = entry->uid;
    who.gid = entry->gid;
    who.name = entry->name;
    who.home = entry->home;
  } else if (uid) {
    who.uid = who.gid = *uid;
  } else {
    return refuse(Code::invalid, "no such user in /etc/passwd");
  }
  if (!spec->group.empty()) {
    auto gid = find_group(group, spec->group);
    if (!gid) gid = parse_id(spec->group);
    if (!gid) return refuse(Code::invalid, "no such group in /etc/group");
    who.gid = *gid;
  } else if (entry) {
    who.groups = groups_of(group, entry->name, protocol::kMaxGroups);
  }

  if (!context.rights.switches) {
    if (who.uid != context.hello.uid || (!spec->group.empty() && who.gid != context.hello.gid))
      return refuse(Code::unsupported, "this sandbox has one user");
    who.gid = context.hello.gid;
    who.groups = context.hello.groups;
  } else if (context.options.lock_down &&
             (who.uid == context.rights.uid || who.gid == context.rights.gid ||
              std::find(who.groups.begin(), who.groups.end(), context.rights.gid) != who.groups.end())) {
    return refuse(Code::forbidden, "reserved");
  } else if (const ActAs as(context.rights, who, ActAs::What::owner); as.error() != 0) {
    return refuse(Code::invalid, "id is not part of this sandbox");
  }
  return who;
}

std::optional<Owner> find_owner(const Context& context, std::string_view owner, std::string_view group, protocol::Result& why) {
  Owner found;
  const Rights& rights = context.rights;
  const auto refuse = [&](protocol::Subject field, Code code, std::string_view detail) {
    const bool is_owner = field == protocol::Subject::owner;
    why = failure(code, 0, is_owner ? "owner" : "group", is_owner ? owner : group, detail);
    why.subject = field;
    return std::nullopt;
  };
  if (!owner.empty()) {
    const auto entry = find_user(read_database(context, "/etc/passwd"), owner);
    const auto uid = entry ? std::optional(entry->uid) : parse_id(owner);
    if (!uid) return refuse(protocol::Subject::owner, Code::invalid, "no such user in /etc/passwd");
    found.uid = *uid;
  }
  if (!group.empty()) {
    auto gid = find_group(read_database(context, "/etc/group"), group);
    if (!gid) gid = parse_id(group);
    if (!gid) return refuse(protocol::Subject::group, Code::invalid, "no such group in /etc/group");
    found.gid = *gid;
  }
  Identity probe;
  probe.uid = rights.uid;
  probe.gid = rights.gid;
  if (!owner.empty()) {
    if (!rights.switches && found.uid != context.hello.uid) return refuse(protocol::Subject::owner, Code::unsupported, "this sandbox has one user");
    if (rights.switches && context.options.lock_down && found.uid == rights.uid) return refuse(protocol::Subject::owner, Code::forbidden, "reserved");
    probe.uid = found.uid;
    if (const ActAs as(rights, probe, ActAs::What::owner); as.error() != 0) return refuse(protocol::Subject::owner, Code::invalid, "id is not part of this sandbox");
    probe.uid = rights.uid;
  }
  if (!group.empty()) {
    if (!rights.switches && found.gid != context.hello.gid) return refuse(protocol::Subject::group, Code::unsupported, "this sandbox has one group");
    if (rights.switches && context.options.lock_down && found.gid == rights.gid) return refuse(protocol::Subject::group, Code::forbidden, "reserved");
    probe.gid = found.gid;
    if (const ActAs as(rights, probe, ActAs::What::owner); as.error() != 0) return refuse(protocol::Subject::group, Code::invalid, "id is not part of this sandbox");
  }
  return found;
}

}  // namespace svm::agent
