#include "routes.hpp"

#include <algorithm>
#include <array>

#include "../http/head.hpp"

namespace serve {
namespace {

using F = Form;
using A = Access;

constexpr std::array kRoutes = {
    // --- what clients of 0.15 know
    Route{"POST", "/api/v1/sandboxes", "sandbox.spawn", F::json, 201},
    Route{"GET", "/api/v1/sandboxes", "sandbox.list"},
    Route{"DELETE", "/api/v1/sandboxes", "sandbox.prune"},
    Route{"POST", "/api/v1/sandboxes/admission", "sandbox.admission"},
    Route{"GET", "/api/v1/sandboxes/{id}", "sandbox.get"},
    Route{"DELETE", "/api/v1/sandboxes/{id}", "sandbox.destroy", F::destroy},
    Route{"POST", "/api/v1/sandboxes/{id}/extend", "sandbox.extend"},
    Route{"POST", "/api/v1/sandboxes/{id}/exec", "exec.run", F::exec},
    Route{"GET", "/api/v1/sandboxes/{id}/exec/ws", "exec.start", F::terminal},
    Route{"POST", "/api/v1/sandboxes/{id}/files", "file.write"},
    Route{"GET", "/api/v1/sandboxes/{id}/files", "file.read", F::download},
    Route{"DELETE", "/api/v1/sandboxes/{id}/files", "file.remove"},
    Route{"GET", "/api/v1/sandboxes/{id}/files/list", "file.list"},
    Route{"GET", "/api/v1/sandboxes/{id}/files/stat", "file.stat"},
    Route{"GET", "/api/v1/sandboxes/{id}/files/glob", "file.glob"},
    Route{"POST", "/api/v1/sandboxes/{id}/files/move", "file.move"},
    Route{"POST", "/api/v1/sandboxes/{id}/files/chmod", "file.chmod"},
    Route{"GET", "/api/v1/sandboxes/{id}/logs", "sandbox.logs"},
    Route{"GET", "/api/v1/sandboxes/{id}/stats", "sandbox.stats"},
    Route{"GET", "/api/v1/events", "event.follow", F::events},
    Route{"POST", "/api/v1/templates", "template.create", F::json, 201},
    Route{"GET", "/api/v1/templates", "template.list"},
    Route{"GET", "/api/v1/templates/{template}", "template.get"},
    Route{"PUT", "/api/v1/templates/{template}", "template.update"},
    Route{"DELETE", "/api/v1/templates/{template}", "template.delete"},
    Route{"POST", "/api/v1/templates/{template}/spawn", "template.spawn", F::json, 201},
    Route{"GET", "/api/v1/providers", "provider.list"},
    Route{"POST", "/api/v1/providers/test", "provider.test"},
    Route{"GET", "/api/v1/providers/{name}", "provider.get"},
    Route{"GET", "/api/v1/providers/{name}/health", "provider.get"},
    Route{"GET", "/api/v1/quotas/summary", "quota.summary"},
    Route{"GET", "/api/v1/pool/status", "pool.status"},
    Route{"GET", "/api/v1/health", "system.health"},
    Route{"GET", "/api/v1/live", "system.live"},
    Route{"GET", "/api/v1/ready", "system.ready", F::ready},
    Route{"GET", "/api/v1/metrics", "system.metrics"},
    Route{"GET", "/api/v1/metrics/prometheus", "system.prometheus", F::text},
    Route{"GET", "/api/v1/admin/providers", "provider.list", F::json, 200, A::admin},
    Route{"POST", "/api/v1/admin/providers/test", "provider.test", F::json, 200, A::admin},
    Route{"GET", "/api/v1/admin/providers/{name}", "provider.get", F::json, 200, A::admin},
    Route{"GET", "/api/v1/admin/quotas/summary", "quota.summary", F::json, 200, A::admin},
    Route{"GET", "/api/v1/admin/metrics", "system.metrics", F::json, 200, A::admin},
    Route{"GET", "/api/v1/admin/metrics/prometheus", "system.prometheus", F::text, 200, A::admin},
    // --- what 0.15 lacks
    Route{"PATCH", "/api/v1/sandboxes/{id}", "sandbox.update"},
    Route{"GET", "/api/v1/sandboxes/{id}/console", "sandbox.console", F::output},
    Route{"PUT", "/api/v1/sandboxes/{id}/files", "file.upload", F::upload},
    Route{"GET", "/api/v1/sandboxes/{id}/files/staged", "file.staged"},
    Route{"GET", "/api/v1/sandboxes/{id}/files/watch", "file.watch", F::watch},
    Route{"POST", "/api/v1/sandboxes/{id}/files/mkdir", "file.mkdir"},
    Route{"POST", "/api/v1/sandboxes/{id}/files/copy", "file.copy"},
    Route{"POST", "/api/v1/sandboxes/{id}/files/symlink", "file.symlink"},
    Route{"GET", "/api/v1/sandboxes/{id}/files/search", "file.search"},
    Route{"POST", "/api/v1/sandboxes/{id}/files/replace", "file.replace"},
    Route{"GET", "/api/v1/sandboxes/{id}/archive", "file.tar_get", F::tar_download},
    Route{"PUT", "/api/v1/sandboxes/{id}/archive", "file.tar_put", F::tar_upload},
    Route{"POST", "/api/v1/sandboxes/{id}/processes", "exec.start", F::start, 201},
    Route{"GET", "/api/v1/sandboxes/{id}/processes", "exec.processes"},
    Route{"GET", "/api/v1/sandboxes/{id}/processes/{exec_id}", "exec.get"},
    Route{"DELETE", "/api/v1/sandboxes/{id}/processes/{exec_id}", "exec.kill"},
    Route{"GET", "/api/v1/sandboxes/{id}/processes/{exec_id}/output", "exec.attach", F::output},
    Route{"GET", "/api/v1/sandboxes/{id}/processes/{exec_id}/ws", "exec.attach", F::attach},
    Route{"POST", "/api/v1/sandboxes/{id}/processes/{exec_id}/signal", "exec.signal"},
    Route{"POST", "/api/v1/sandboxes/{id}/processes/{exec_id}/resize", "exec.resize"},
    Route{"GET", "/api/v1/sandboxes/{id}/ports", "port.list"},
    Route{"POST", "/api/v1/sandboxes/{id}/ports/wait", "port.wait"},
    Route{"GET", "/api/v1/sandboxes/{id}/ports/{port}/ws", "port.dial", F::port},
    Route{"GET", "/api/v1/execs", "exec.list"},
    Route{"GET", "/api/v1/execs/{exec_id}", "exec.get"},
    // --- for the library on the other side (stacyvm_open of a server's address)
    Route{"POST", "/api/v1/operations/{operation}", "", F::operation},
    Route{"GET", "/api/v1/operations/{operation}/ws", "", F::operation_stream},
    // --- the server itself
    Route{"GET", "/api/v1/openapi.json", "", F::openapi},
    Route{"GET", "/docs", "", F::docs, 200, A::open},
};

/// Segments of a path without its first slash, and without the empty one behind a last slash.
std::vector<std::string_view> segments_of(std::string_view path) {
  std::vector<std::string_view> segments;
  if (path.starts_with('/')) path.remove_prefix(1);
  while (!path.empty()) {
    const size_t slash = std::min(path.find('/'), path.size());
    segments.push_back(path.substr(0, slash));
    path.remove_prefix(std::min(slash + 1, path.size()));
  }
  return segments;
}

bool is_parameter(std::string_view segment) { return segment.starts_with('{'); }

/// How many segments of the pattern are words that matched, -1 where it does not match: "files/stat" goes before "files/{x}".
int fit(const std::vector<std::string_view>& wanted, const std::vector<std::string_view>& segments) {
  if (wanted.size() != segments.size()) return -1;
  int words = 0;
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (is_parameter(wanted[i])) {
      if (segments[i].empty()) return -1;
    } else if (wanted[i] == segments[i]) {
      ++words;
    } else {
      return -1;
    }
  }
  return words;
}

/// The patterns, taken apart once.
const std::vector<std::vector<std::string_view>>& patterns() {
  static const std::vector<std::vector<std::string_view>> all = [] {
    std::vector<std::vector<std::string_view>> made;
    for (const Route& route : kRoutes) made.push_back(segments_of(route.path));
    return made;
  }();
  return all;
}

}  // namespace

std::span<const Route> routes() noexcept { return kRoutes; }

const Route* route_of(std::string_view operation) noexcept {
  if (operation.empty()) return nullptr;
  for (const Route& route : kRoutes)
    if (route.operation == operation && route.access == Access::caller) return &route;
  return nullptr;
}

Match find_route(std::string_view method, std::string_view path) {
  if (method == "HEAD") method = "GET";
  const std::vector<std::string_view> segments = segments_of(path);
  Match match;
  int best = -1;
  size_t number = 0;
  for (size_t i = 0; i < kRoutes.size(); ++i) {
    const Route& route = kRoutes[i];
    const int words = fit(patterns()[i], segments);
    if (words < 0) continue;
    if (route.method != method) {
      match.allowed += (match.allowed.empty() ? "" : ", ") + std::string(route.method == "GET" ? "GET, HEAD" : route.method);
    } else if (words > best) {
      best = words;
      match.route = &route;
      number = i;
    }
  }
  if (!match.route) {
    if (!match.allowed.empty()) match.allowed += ", OPTIONS";
    return match;
  }
  const std::vector<std::string_view>& wanted = patterns()[number];
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (!is_parameter(wanted[i])) continue;
    std::string value;
    if (!http::percent_decode(segments[i], false, value)) match.malformed = true;
    match.pairs.emplace_back(std::string(wanted[i].substr(1, wanted[i].size() - 2)), std::move(value));
  }
  return match;
}

}  // namespace serve
