// The field lists of settings. Here what nobody knows is an error: a limit that is misspelt would not hold.
#include "model/common_fields.hpp"
#include "model/settings.hpp"

namespace svm::model {
namespace {

constexpr Field kDefaultsFields[] = {
    field<K::text, &Defaults::image>("image", "What a spawn without an image gets: an image's name, an alias, or an absolute path.").size(0, kMaxImageBytes).as(Format::line),
    field<K::text, &Defaults::provider>("provider", "Who builds the boundary of a spawn that does not say.").size(0, kMaxNameBytes).as(Format::label),
    field<K::mebibytes, &Defaults::memory_bytes>("memory_mb", "Memory in MiB, best effort.").range(kMinMemoryBytes, kMaxMemoryBytes).or_zero("1024"),
    field<K::mebibytes, &Defaults::disk_bytes>("disk_mb", "Written files in MiB, best effort.").range(kMinDiskBytes, kMaxDiskBytes).or_zero("1024"),
    field<K::cpus, &Defaults::milli_cpus>("vcpus", "Processors, best effort.").range(kMinMilliCpus, kMaxMilliCpus).or_zero("1"),
    field<K::integer, &Defaults::pids>("pids", "Processes and threads, best effort.").range(kMinPids, kMaxPids).or_zero("256"),
    ttl_field<&Defaults::ttl_ms>("How long a sandbox lives.").or_zero("\"30m0s\""),
    field<K::duration_ms, &Defaults::max_ttl_ms>("max_ttl", "The most that a spawn or an extend may ask for.").range(kMinTtlMs, kMaxTtlMs).or_zero("\"24h0m0s\""),
    field<K::duration_ms, &Defaults::default_exec_timeout_ms>("default_exec_timeout", "Of a command that has none, in a sandbox that has none; 0: max_exec_timeout.")
        .range(0, kMaxTimeoutMs),
    field<K::duration_ms, &Defaults::max_exec_timeout_ms>("max_exec_timeout", "The most that a command may ask for, and then none does without; 0: no such limit.")
        .range(0, kMaxTimeoutMs),
    field<K::integer, &Defaults::max_sandboxes>("max_sandboxes", "The most there may be at a time; 0: 10,000.").range(0, kMaxSandboxes),
    field<K::integer, &Defaults::max_sandboxes_per_owner>("max_sandboxes_per_owner", "The most of one owner_id; 0: no limit of its own.").range(0, kMaxSandboxes),
};

constexpr Field kImagesFields[] = {
    field<K::map, &Images::aliases>("aliases", "Names of images, and what each stands for: \"host\", or an absolute path of a root file system's directory or tar.")
        .items(kMaxAliases)
        .keys(kMaxAliasBytes, Format::line)
        .size(1, kMaxImageBytes)
        .as(Format::line),
};

constexpr Field kRemoteFields[] = {
    field<K::text, &Remote::ca_file>("ca_file", "Absolute path of certificates in PEM that are trusted instead of the system's.").size(0, kMaxPathBytes).as(Format::line),
    field<K::duration_ms, &Remote::connect_timeout_ms>("connect_timeout", "How long a connection may take to be made.")
        .range(kMinConnectTimeoutMs, kMaxConnectTimeoutMs)
        .or_zero("\"10s\""),
};

constexpr Field kSettingsFields[] = {
    field<K::object, &Settings::defaults>("defaults", "What a request gets that does not say, and the most that it may say."),
    field<K::object, &Settings::images>("images", "What images there are."),
    field<K::object, &Settings::remote>("remote", "How the server is reached, where the instance is one."),
};

void check_settings(const void* object) {
  const auto& [defaults, images, remote] = *static_cast<const Settings*>(object);
  const auto is_relative = [](const std::string& image) { return image.starts_with('.'); };
  if (is_relative(defaults.image)) refuse_field("defaults.image", "must be a name or an absolute path");
  if (defaults.ttl_ms > defaults.most_ttl_ms()) refuse_field("defaults.ttl", "is more than defaults.max_ttl");
  if (defaults.max_exec_timeout_ms != 0 && defaults.default_exec_timeout_ms > defaults.max_exec_timeout_ms)
    refuse_field("defaults.default_exec_timeout", "is more than defaults.max_exec_timeout");
  if (defaults.disk_bytes > defaults.usual_memory()) refuse_field("defaults.disk_mb", "is more than defaults.memory_mb, and files are kept in memory");
  for (const auto& [name, target] : images.aliases) {
    if (name.starts_with('/') || is_relative(name)) refuse_field("images.aliases", "has a name that is a path");
    if (is_relative(target)) refuse_field("images.aliases", "has a target that is neither a name nor an absolute path");
  }
  if (!remote.ca_file.empty() && !remote.ca_file.starts_with('/')) refuse_field("remote.ca_file", "must be an absolute path");
}

}  // namespace

SVM_FIELDS(Defaults, kDefaultsFields, false, nullptr, true)
SVM_FIELDS(Images, kImagesFields, false, nullptr, true)
SVM_FIELDS(Remote, kRemoteFields, false, nullptr, true)
SVM_FIELDS(Settings, kSettingsFields, false, &check_settings, true)

}  // namespace svm::model
