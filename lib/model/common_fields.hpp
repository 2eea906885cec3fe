// Fields that several structs share. Internal to lib/model.
#pragma once
#include "model/field.hpp"
#include "model/limits.hpp"

namespace svm::model {

using K = Kind;

template <auto Member>
consteval Field id_field() {
  return field<K::text, Member>("id", "The sandbox's id.").size(1, kMaxIdBytes).as(Format::line).required();
}
template <auto Member>
consteval Field path_field(std::string_view name, std::string_view doc) {
  return field<K::bytes, Member>(name, doc).size(1, kMaxPathBytes).as(Format::absolute).required();
}
template <auto Member>
consteval Field user_field() {
  return field<K::text, Member>("user", "As whom: a name of the sandbox's /etc/passwd or a number, \"1000:100\" adds a group; empty: its default user.")
      .size(0, kMaxNameBytes)
      .as(Format::line);
}
template <auto Member>
consteval Field mode_field(std::string_view doc) {
  return field<K::mode, Member>("mode", doc).range(0, kMaxMode);
}
template <auto Member>
consteval Field entries_field() {
  return field<K::integer, Member>("limit", "Most entries; more are an error.").range(1, kMaxEntries).or_zero("10000");
}
template <auto... Member>
consteval Field env_field(std::string_view doc) {
  return field<K::map, Member...>("env", doc)
      .items(kMaxEnv)
      .keys(kMaxArgumentBytes, Format::variable)
      .size(0, kMaxArgumentBytes)
      .as(Format::argument)
      .keeping(Keep::names);
}
template <auto... Member>
consteval Field metadata_field(std::string_view doc) {
  return field<K::map, Member...>("metadata", doc).items(kMaxMetadata).keys(kMaxMetadataKeyBytes, Format::line).size(0, kMaxMetadataValueBytes);
}
template <auto... Member>
consteval Field ttl_field(std::string_view doc) {
  return field<K::duration_ms, Member...>("ttl", doc).range(kMinTtlMs, kMaxAskedTtlMs);
}

inline void check_environment(const StringMap& env, size_t& total) {
  for (const auto& [name, value] : env) {
    const size_t size = name.size() + 1 + value.size();
    if (size > kMaxArgumentBytes) refuse_field("env", "a variable is too long", kMaxArgumentBytes);
    total += size + 1;
  }
  if (total > kMaxExecBytes) refuse_field("env", "the command, its arguments and environment are too long together", kMaxExecBytes);
}

}  // namespace svm::model
