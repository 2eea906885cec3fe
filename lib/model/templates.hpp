// Sandboxes in advance: what to spawn, under a name.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "model/requests.hpp"

namespace svm::model {

/// Where a sandbox would find a secret, never the secret.
struct TemplateSecret { std::string name, inject_at; };

/// Two fields have two spellings, for clients of either: the processors and the life time. Where both are given they must say the same.
struct Template {
  std::string name, image, description, provider;
  uint32_t version = 0;                       // 0: one more than the one before
  std::vector<std::string> setup;             // shell commands that a sandbox runs before it is handed out
  std::vector<std::string> allowed_hosts;     // only empty: nothing reaches the network
  uint64_t memory_bytes = 0, disk_bytes = 0;  // limits, and ttl: 0: what a spawn has that does not say
  uint32_t milli_cpus = 0, cpu_cores = 0, pids = 0;
  int64_t ttl_ms = 0;
  uint32_t ttl_seconds = 0;
  StringMap env, metadata;
  std::vector<TemplateSecret> secrets;        // only empty: nothing gives them to a sandbox yet
  uint32_t pool_size = 0;                     // kept, and without effect
};

struct TemplateCreateRequest { Template body; };
/// The whole template anew. template_name is its name; one in the body must be the same.
struct TemplateUpdateRequest { std::string template_name; Template body; };
struct TemplateIdRequest { std::string template_name; };

/// A template as stored.
struct TemplateRecord {
  std::string tenant_id;
  Template body;
  int64_t created_ms = 0, updated_ms = 0;  // wall clock, UTC
};
/// As callers see it: with the limits that a spawn of it would have now.
struct TemplateInfo {
  Template body;
  int64_t created_ms = 0, updated_ms = 0;
};
struct TemplateList { std::vector<TemplateInfo> items; };

}  // namespace svm::model
