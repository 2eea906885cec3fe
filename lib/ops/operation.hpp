// What a row of the operation table says. Data only; the gate acts on it.
#pragma once
#include <string_view>

namespace svm::ops {

enum class ObjectRule { none, sandbox };          // sandbox: the request's `id` must name one the caller may see
enum class Effect { read, write };
enum class Shape { unary, stream };
enum class Scope { sandbox_read, sandbox_write, exec, file_read, file_write, template_read, template_write, system_read };
inline constexpr Scope kScopes[] = {Scope::sandbox_read, Scope::sandbox_write, Scope::exec,          Scope::file_read,
                                    Scope::file_write,   Scope::template_read, Scope::template_write, Scope::system_read};
/// Whether nothing but our own records is read in it.
constexpr bool reads_records(Scope scope) noexcept { return scope == Scope::sandbox_read || scope == Scope::template_read || scope == Scope::system_read; }
std::string_view scope_name(Scope scope) noexcept; // "sandbox:read", ...

struct Row {
  std::string_view name;      // "sandbox.spawn"
  Scope scope;
  ObjectRule object;
  Effect effect;
  Shape shape;
  std::string_view verb;      // audit: "sandbox.spawn"
  unsigned cost;              // weight for rate limits, 1 = a read
  std::string_view doc;       // one sentence
  std::string_view media = "application/json";  // of a unary answer
};

}  // namespace svm::ops
