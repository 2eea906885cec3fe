#include "protocol/launch.hpp"

#include "protocol/fields.hpp"

namespace svm::protocol {
namespace {

constexpr size_t kMaxName = 64;      // instance, cgroup directory
constexpr size_t kMaxHostname = 64;  // Linux __NEW_UTS_LEN
constexpr uint32_t kIdRange = 65536;
constexpr size_t kLeastMount = 4 + 4 + 8 + 8 + 1;

bool is_name_byte(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
}

/// Becomes one component of a path: letters, digits and '-' cannot leave the directory.
template <class V, class S>
void name(V& v, S& s) {
  v.text(s, 1, kMaxName);
  v.require([&] {
    for (const char c : s)
      if (!is_name_byte(c)) return false;
    return true;
  });
}

template <class V, class S>
void hostname(V& v, S& s) {
  v.text(s, 0, kMaxHostname);
  v.require([&] {
    for (const char c : s)
      if (!is_name_byte(c) && c != '.') return false;
    return true;
  });
}

template <class V, class S>
void error_number(V& v, S& s) { v.range(s, 0, kMaxErrno); }

template <class V>
void fields(V& v, typename V::template Of<Init>& s) {
  name(v, s.instance);
  v.flag(s.rootless);
  v.flag(s.holds);
  v.flag(s.alone);
  v.flag(s.detached);
  v.blob(s.key);
  v.require([&] { return s.key.size() == kOwnerKeyBytes || (s.key.empty() && !s.detached); });
}

template <class V>
void fields(V& v, typename V::template Of<Online>& s) {
  error_number(v, s.error);
  v.choice(s.step, Step::former_launcher);
  error_number(v, s.memory_error);
  error_number(v, s.swap_error);
  error_number(v, s.cpu_error);
  error_number(v, s.pids_error);
  v.choice(s.cgroup_version, uint8_t{2});
}

template <class V>
void fields(V& v, typename V::template Of<HostMount>& s) {
  absolute_path(v, s.host);
  absolute_path(v, s.guest);
  v.number(s.device);
  v.number(s.inode);
  v.flag(s.writable);
}

template <class V>
void fields(V& v, typename V::template Of<Spawn>& s) {
  v.number(s.token);
  name(v, s.name);
  v.choice(s.root, RootKind::empty);
  path(v, s.rootfs);
  v.require([&] { return s.root == RootKind::directory ? s.rootfs.starts_with('/') : s.rootfs.empty(); });
  v.number(s.rootfs_device);
  v.number(s.rootfs_inode);
  v.range(s.id_base, uint32_t{0}, UINT32_MAX - kIdRange);
  id(v, s.uid);
  id(v, s.gid);
  v.flag(s.fixed_user);
  v.choice(s.profile, Profile::build);
  hostname(v, s.hostname);
  v.number(s.memory);
  v.number(s.disk);
  v.number(s.inodes);
  v.number(s.milli_cpus);
  v.number(s.pids);
  v.flag(s.require_memory);
  v.flag(s.require_cpu);
  v.flag(s.require_pids);
  v.list(s.mounts, kMaxMounts, kLeastMount, [&](auto& mount) { fields(v, mount); });
}

template <class V>
void fields(V& v, typename V::template Of<Refused>& s) {
  v.number(s.token);
  fields(v, s.failure);
}

template <class V>
void fields(V& v, typename V::template Of<Kill>& s) { v.number(s.token); }

template <class V>
void fields(V& v, typename V::template Of<Exited>& s) {
  v.number(s.token);
  v.any(s.wait_status);
  v.number(s.oom_kills);
}

template <class V>
void fields(V& v, typename V::template Of<Claim>& s) {
  v.blob(s.key);
  v.require([&] { return s.key.size() == kOwnerKeyBytes; });
  v.flag(s.detached);
}

template <class V>
void fields(V& v, typename V::template Of<Claimed>& s) {
  error_number(v, s.error);
  fields(v, s.online);
  v.flag(s.holds);
  v.number(s.sandboxes);
}

template <class V>
void fields(V& v, typename V::template Of<Adopted>& s) {
  v.number(s.token);
  name(v, s.name);
  v.range(s.expires_in_ms, uint64_t{0}, uint64_t{INT64_MAX});
}

template <class V>
void fields(V& v, typename V::template Of<Expire>& s) {
  v.number(s.token);
  v.range(s.in_ms, uint64_t{0}, uint64_t{INT64_MAX});
}

template <class T>
void encode_message(std::string& out, LaunchType type, const T& v) {
  ByteWriter(out).u8(static_cast<uint8_t>(type));
  FieldWriter writer(out);
  fields(writer, v);
}

template <class T>
bool decode_fields(std::string_view in, T& v) {
  FieldReader reader(in);
  fields(reader, v);
  return reader.done();
}

}  // namespace

void encode(std::string& out, const Init& v) { encode_message(out, LaunchType::init, v); }
void encode(std::string& out, const Online& v) { encode_message(out, LaunchType::online, v); }
void encode(std::string& out, const Spawn& v) { encode_message(out, LaunchType::spawn, v); }
void encode(std::string& out, const Refused& v) { encode_message(out, LaunchType::refused, v); }
void encode(std::string& out, const Kill& v) { encode_message(out, LaunchType::kill, v); }
void encode(std::string& out, const Exited& v) { encode_message(out, LaunchType::exited, v); }
void encode(std::string& out, const Claim& v) { encode_message(out, LaunchType::claim, v); }
void encode(std::string& out, const Claimed& v) { encode_message(out, LaunchType::claimed, v); }
void encode(std::string& out, const Adopted& v) { encode_message(out, LaunchType::adopted, v); }
void encode(std::string& out, const Expire& v) { encode_message(out, LaunchType::expire, v); }

bool decode(std::string_view in, LaunchMessage& v) {
  if (in.empty() || in.size() > kMaxLaunchMessage) return false;
  v.type = static_cast<LaunchType>(in.front());
  in.remove_prefix(1);
  switch (v.type) {
    case LaunchType::init: return decode_fields(in, v.init);
    case LaunchType::online: return decode_fields(in, v.online);
    case LaunchType::spawn: return decode_fields(in, v.spawn);
    case LaunchType::refused: return decode_fields(in, v.refused);
    case LaunchType::kill: return decode_fields(in, v.kill);
    case LaunchType::exited: return decode_fields(in, v.exited);
    case LaunchType::claim: return decode_fields(in, v.claim);
    case LaunchType::claimed: return decode_fields(in, v.claimed);
    case LaunchType::adopted: return decode_fields(in, v.adopted);
    case LaunchType::expire: return decode_fields(in, v.expire);
  }
  return false;
}

}  // namespace svm::protocol
