// The field lists of templates.
#include <algorithm>
#include <array>

#include "core/error.hpp"
#include "model/common_fields.hpp"
#include "model/templates.hpp"

namespace svm::model {
namespace {

constexpr Field kSecretFields[] = {
    field<K::text, &TemplateSecret::name>("name", "The secret's name.").size(1, kMaxNameBytes).as(Format::line).required(),
    field<K::text, &TemplateSecret::inject_at>("inject_at", "Where a sandbox finds it.").size(1, kMaxPathBytes).as(Format::line).required(),
};

template <size_t A, size_t B>
consteval std::array<Field, A + B> joined(const std::array<Field, A>& first, const std::array<Field, B>& second) {
  std::array<Field, A + B> all{};
  std::copy(first.begin(), first.end(), all.begin());
  std::copy(second.begin(), second.end(), all.begin() + A);
  return all;
}

template <auto Body>
consteval Field name_field() {
  return field<K::text, Body, &Template::name>("name", "Its name, 1 to 63 letters, digits, '.', '_' and '-'.").size(0, kMaxSandboxNameBytes).as(Format::name);
}

/// What a request says of a template besides its name.
template <auto Body>
consteval auto body_fields() {
  return std::array{
      field<K::text, Body, &Template::image>("image", "As of a spawn.").size(1, kMaxImageBytes).as(Format::line).required(),
      field<K::text, Body, &Template::description>("description", "For people.").size(0, kMaxDescriptionBytes).as(Format::text),
      field<K::integer, Body, &Template::version>("version", "0: one more than the version before; the first is 1.").range(0, INT32_MAX),
      field<K::text, Body, &Template::provider>("provider", "As of a spawn.").size(0, kMaxNameBytes).as(Format::label),
      field<K::list, Body, &Template::setup>("setup", "Shell commands that each sandbox runs, as its default user and in order, before it is handed out.")
          .items(kMaxSetup)
          .size(1, kMaxSetupBytes)
          .as(Format::argument),
      field<K::list, Body, &Template::allowed_hosts>("allowed_hosts", "Only empty: nothing inside reaches the network.").items(kMaxAllowedHosts).size(1, kMaxHostBytes).as(Format::line),
      field<K::mebibytes, Body, &Template::memory_bytes>("memory_mb", "As of a spawn.").range(kMinMemoryBytes, kMaxMemoryBytes).or_zero("1024"),
      field<K::mebibytes, Body, &Template::disk_bytes>("disk_mb", "As of a spawn.").range(kMinDiskBytes, kMaxDiskBytes).or_zero("1024"),
      field<K::cpus, Body, &Template::milli_cpus>("vcpus", "As of a spawn.").range(kMinMilliCpus, kMaxMilliCpus).or_zero("1"),
      field<K::cpus, Body, &Template::cpu_cores>("cpu_cores", "The same as vcpus.").range(kMinMilliCpus, kMaxMilliCpus).or_zero("1"),
      field<K::integer, Body, &Template::pids>("pids", "As of a spawn.").range(kMinPids, kMaxPids).or_zero("256"),
      field<K::duration_ms, Body, &Template::ttl_ms>("ttl", "As of a spawn.").range(kMinTtlMs, kMaxAskedTtlMs).or_zero("\"30m0s\""),
      field<K::integer, Body, &Template::ttl_seconds>("ttl_seconds", "The same as ttl, in whole seconds.").range(0, kMaxAskedTtlMs / 1000),
      env_field<Body, &Template::env>("As of a spawn."),
      metadata_field<Body, &Template::metadata>("Labels of its sandboxes; they get template, too."),
      field<K::objects, Body, &Template::secrets>("secrets", "Only empty: nothing gives them to a sandbox yet.").items(kMaxSecrets),
      field<K::integer, Body, &Template::pool_size>("pool_size", "Kept and answered, and without effect.").range(0, kMaxPoolSize),
  };
}

template <auto Member>
consteval Field id_of_template() {
  return field<K::text, Member>("template", "The template's name.").size(1, kMaxSandboxNameBytes).as(Format::name).required();
}

constexpr auto kCreate = &TemplateCreateRequest::body;
constexpr auto kCreateFields = joined(std::array{name_field<kCreate>().size(1, kMaxSandboxNameBytes).required()}, body_fields<kCreate>());
constexpr auto kUpdate = &TemplateUpdateRequest::body;
constexpr auto kUpdateFields = joined(std::array{id_of_template<&TemplateUpdateRequest::template_name>(), name_field<kUpdate>()}, body_fields<kUpdate>());
constexpr Field kIdFields[] = {id_of_template<&TemplateIdRequest::template_name>()};

[[noreturn]] void not_yet(const std::string& field, std::string_view why) {
  throw Error(Code::unsupported, field + ": " + std::string(why)).with("field", field);
}

void check_template(const Template& body) {
  if (body.milli_cpus != 0 && body.cpu_cores != 0 && body.milli_cpus != body.cpu_cores) refuse_field("cpu_cores", "says another number than vcpus");
  if (body.ttl_ms != 0 && body.ttl_seconds != 0 && body.ttl_ms != int64_t{body.ttl_seconds} * 1000) refuse_field("ttl_seconds", "says another time than ttl");
  size_t total = 0;
  check_environment(body.env, total);
  if (!body.allowed_hosts.empty()) not_yet("allowed_hosts", "sandboxes reach no network, so that none can be allowed");
  if (!body.secrets.empty()) not_yet("secrets", "are not given to sandboxes by this release");
}
void check_create(const void* object) { check_template(static_cast<const TemplateCreateRequest*>(object)->body); }
void check_update(const void* object) {
  const auto& request = *static_cast<const TemplateUpdateRequest*>(object);
  if (!request.body.name.empty() && request.body.name != request.template_name) refuse_field("name", "is another template's: a template cannot be renamed");
  check_template(request.body);
}

constexpr auto kBody = &TemplateInfo::body;

std::string seconds_of(const void* object) { return std::to_string((static_cast<const TemplateInfo*>(object)->body.ttl_ms + 999) / 1000); }

constexpr Field kInfoFields[] = {
    field<K::text, kBody, &Template::name>("name", "Its name.").written(),
    field<K::integer, kBody, &Template::version>("version", "Its version.").written(),
    field<K::text, kBody, &Template::image>("image", "What its sandboxes' root is made from.").written(),
    field<K::text, kBody, &Template::description>("description", "For people."),
    field<K::list, kBody, &Template::setup>("setup", "Shell commands that each sandbox runs before it is handed out.").items(kMaxSetup),
    field<K::list, kBody, &Template::allowed_hosts>("allowed_hosts", "None: nothing inside reaches the network.").items(kMaxAllowedHosts),
    field<K::mebibytes, kBody, &Template::memory_bytes>("memory_mb", "Memory limit in MiB.").written(),
    field<K::mebibytes, kBody, &Template::disk_bytes>("disk_mb", "Limit of written files in MiB.").written(),
    field<K::cpus, kBody, &Template::milli_cpus>("vcpus", "CPU limit.").written(),
    field<K::cpus, kBody, &Template::cpu_cores>("cpu_cores", "The same.").written(),
    field<K::integer, kBody, &Template::pids>("pids", "Limit of processes and threads.").written(),
    field<K::duration_ms, kBody, &Template::ttl_ms>("ttl", "How long its sandboxes live.").written(),
    derived("ttl_seconds", "integer", &seconds_of, "The same in seconds."),
    field<K::text, kBody, &Template::provider>("provider", "Who builds the boundary; empty: the instance's default.").written(),
    field<K::map, kBody, &Template::env>("env", "Environment that every command starts from.").items(kMaxEnv).keys(kMaxArgumentBytes, Format::variable).as(Format::blob),
    field<K::map, kBody, &Template::metadata>("metadata", "Labels.").items(kMaxMetadata).keys(kMaxMetadataKeyBytes, Format::line).written(),
    field<K::objects, kBody, &Template::secrets>("secrets", "None.").items(kMaxSecrets),
    field<K::integer, kBody, &Template::pool_size>("pool_size", "As it was given.").written(),
    field<K::time_ms, &TemplateInfo::created_ms>("created_at", "When it was made.").written(),
    field<K::time_ms, &TemplateInfo::updated_ms>("updated_at", "When it was last replaced.").written(),
};
constexpr Field kListFields[] = {field<K::objects, &TemplateList::items>("", "Templates by name.").items(kMaxTemplates).written()};

}  // namespace

SVM_FIELDS(TemplateSecret, kSecretFields, false)
SVM_FIELDS(TemplateCreateRequest, kCreateFields, false, &check_create)
SVM_FIELDS(TemplateUpdateRequest, kUpdateFields, false, &check_update)
SVM_FIELDS(TemplateIdRequest, kIdFields, false)
SVM_FIELDS(TemplateInfo, kInfoFields, false)
SVM_FIELDS(TemplateList, kListFields, true)

}  // namespace svm::model
