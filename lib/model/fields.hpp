// One field list per struct. JSON in both directions, JSON Schema, validation and redaction are all read from it, so that a field
// cannot be accepted without a bound, answered without a schema or logged without a decision. The lists are in field_lists.cpp.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "model/records.hpp"
#include "model/requests.hpp"
#include "model/settings.hpp"
#include "model/system.hpp"
#include "model/templates.hpp"

namespace svm::model {

/// How a member is spelt on the wire.
enum class Kind : uint8_t {
  text,         // string
  bytes,        // string; beside it NAME_b64 for what is not UTF-8
  word,         // string out of a set
  state,        // State as its word
  flag,         // true, false
  integer,      // whole number
  mebibytes,    // bytes as a whole number of MiB
  cpus,         // thousandths as a number, at most three decimals
  mode,         // permission bits as octal text
  duration_ms, duration_us,  // Go duration
  time_ms, time_ns,          // RFC 3339
  map,          // object of strings
  list,         // array of strings
  objects,      // array of structs
  object,       // a struct
  derived,      // answers only: made from other members
  ignored,      // a flag that old clients send; it has no effect here
  unsupported,  // a string that old clients send; only "" is accepted
};

/// What a string must look like besides its size. All but `blob` refuse NUL.
enum class Format : uint8_t {
  blob,      // any bytes
  argument,  // no NUL: becomes argv, an environment value, a pattern
  absolute,  // no NUL, starts with '/'
  text,      // UTF-8
  line,      // UTF-8 without control characters
  label,     // line without blanks, '/' and '\'
  name,      // ASCII letters, digits, '.', '_' and '-', the first one a letter or digit
  variable,  // an environment variable's name: no NUL, no '=', not empty
};

/// What the audit log and diagnostics keep of a value.
enum class Keep : uint8_t {
  whole,   // strings are cut at kAuditTextBytes, lists and maps at kAuditItems entries, items at kAuditItemBytes
  names,   // a map's keys, never its values
  size,    // how many bytes, never which
};
inline constexpr size_t kAuditTextBytes = 256, kAuditItemBytes = 64, kAuditItems = 8;

/// The type of the member behind a field.
enum class Slot : uint8_t { none, string, boolean, u32, u64, i32, i64, state, map, list, objects, object };

struct Fields;

/// A vector of structs, or one struct (then without the functions of a vector), without its type.
struct Objects {
  const Fields& (*fields)();
  size_t (*size)(const void* vector);
  void* (*at)(void* vector, size_t index);
  void* (*append)(void* vector);
};

struct Field {
  std::string_view name;
  Kind kind{};
  std::string_view doc;
  Slot slot = Slot::none;
  void* (*locate)(void* object) = nullptr;  // the member; nullptr for derived, ignored and unsupported
  std::string (*derive)(const void* object) = nullptr;  // Kind::derived: its JSON
  std::string_view derived_type;                        // and the type the schema gives it
  bool derived_null = false;                            // or it is null
  const Objects* objects = nullptr;

  // Bounds, inclusive: the number as it is stored, or the size of a string, a map's value, a list's item.
  int64_t least = 0, most = INT64_MAX;
  bool zero_default = false;       // 0 means "the default" although it is below `least`
  int64_t absent = 0;              // what a number is that was not given, where that is out of bounds
  bool may_be_absent = false;
  std::string_view default_json;   // what that default is, for the schema
  size_t most_items = 0;           // map, list, objects
  size_t most_key = 0;             // map
  Format format = Format::text;    // of the string, value or item
  Format key_format = Format::text;
  std::span<const std::string_view> words;
  bool needed = false;             // must be present in JSON
  bool always = false;             // answers: written also when it has its default value
  Keep keep = Keep::whole;

  constexpr Field size(size_t from, size_t to) const { return range(static_cast<int64_t>(from), static_cast<int64_t>(to)); }
  constexpr Field range(int64_t from, int64_t to) const { Field f = *this; f.least = from; f.most = to; return f; }
  constexpr Field or_zero(std::string_view meaning) const { Field f = *this; f.zero_default = true; f.default_json = meaning; return f; }
  constexpr Field or_absent(int64_t value) const { Field f = *this; f.may_be_absent = true; f.absent = value; return f; }
  constexpr Field items(size_t to) const { Field f = *this; f.most_items = to; return f; }
  constexpr Field keys(size_t to, Format of) const { Field f = *this; f.most_key = to; f.key_format = of; return f; }
  constexpr Field as(Format of) const { Field f = *this; f.format = of; return f; }
  constexpr Field of(std::span<const std::string_view> set) const { Field f = *this; f.words = set; return f; }
  constexpr Field required() const { Field f = *this; f.needed = true; return f; }
  constexpr Field or_null() const { Field f = *this; f.derived_null = true; return f; }
  constexpr Field written() const { Field f = *this; f.always = true; return f; }
  constexpr Field keeping(Keep what) const { Field f = *this; f.keep = what; return f; }

  /// The member of `object`, whose type the slot says.
  template <class T>
  T& ref(void* object) const { return *static_cast<T*>(locate(object)); }
  template <class T>
  const T& ref(const void* object) const { return *static_cast<const T*>(locate(const_cast<void*>(object))); }
  /// A number slot's value. Every bound fits int64; the one value that does not, an all-ones uint64 ("everything"), is INT64_MAX here.
  int64_t number(const void* object) const noexcept;
  void set_number(void* object, int64_t value) const noexcept;
};

struct Fields {
  std::string_view name;        // for schemas: "SpawnRequest"
  std::span<const Field> list;
  const void* defaults;         // a default-constructed object
  bool array = false;           // the JSON is not an object with the only field but that field's value, mostly an array
  void (*check)(const void* object) = nullptr;  // rules between fields; throws Error invalid or unsupported
  bool strict = false;          // members that the list does not have are refused, not ignored
};

/// The list of one struct. Defined for every type of SVM_MODEL_TYPES and for those that are items of one; for no other it does not link.
template <class T>
const Fields& fields_of();

#define SVM_MODEL_REQUESTS(X)                                                                                                          \
  X(SpawnRequest) X(SandboxIdRequest) X(DestroyRequest) X(ListRequest) X(ExtendRequest) X(UpdateRequest) X(PruneRequest) X(ExecRequest) X(FileReadRequest) X(FileWriteRequest)            \
  X(FileUploadRequest) X(FileStagedRequest) X(FileListRequest) X(FileStatRequest) X(FileGlobRequest) X(FileSearchRequest) X(FileReplaceRequest) X(FileMoveRequest) X(FileCopyRequest) X(FileSymlinkRequest) X(FileChmodRequest) \
  X(FileMkdirRequest) X(FileRemoveRequest) X(FileWatchRequest) X(FileTarGetRequest) X(FileTarPutRequest) X(PortDialRequest)            \
  X(PortWaitRequest) X(PortListRequest) X(EventFollowRequest) X(ExecListRequest) X(ExecGetRequest) X(ExecAttachRequest)                \
  X(ExecSignalRequest) X(ExecKillRequest) X(ExecResizeRequest) X(LogsRequest) X(ConsoleRequest) X(EmptyRequest) X(Settings)                \
  X(TemplateCreateRequest) X(TemplateUpdateRequest) X(TemplateIdRequest) X(ProviderIdRequest)
#define SVM_MODEL_ANSWERS(X)                                                                                                           \
  X(SandboxInfo) X(SandboxList) X(Status) X(Pruned) X(Staged) X(ExecResponse) X(FileInfo) X(FileList) X(PathList) X(FileMatches) X(FileReplaced) X(FileEvent) X(PortList)       \
  X(ExecInfo) X(ExecList) X(SandboxStats) X(ProcessInfo) X(ProcessList) X(LogLines) X(Admission) X(TemplateInfo) X(TemplateList) \
  X(ProviderList) X(ProviderInfo) X(ProviderTest) X(QuotaSummary) X(PoolStatus) X(SystemHealth) X(SystemReady) X(SystemMetrics) X(Text)
#define SVM_MODEL_DECLARE(T) \
  template <>                \
  const Fields& fields_of<T>();
SVM_MODEL_REQUESTS(SVM_MODEL_DECLARE)
SVM_MODEL_ANSWERS(SVM_MODEL_DECLARE)
SVM_MODEL_DECLARE(Mount)
SVM_MODEL_DECLARE(Port)
SVM_MODEL_DECLARE(FileMatch)
SVM_MODEL_DECLARE(Defaults)
SVM_MODEL_DECLARE(Images)
SVM_MODEL_DECLARE(Remote)
SVM_MODEL_DECLARE(TemplateSecret)
SVM_MODEL_DECLARE(ProviderHealth)
SVM_MODEL_DECLARE(SandboxCounts)
SVM_MODEL_DECLARE(EventCounts)
SVM_MODEL_DECLARE(ProviderCounts)
SVM_MODEL_DECLARE(OperationCount)
#undef SVM_MODEL_DECLARE

using Pairs = std::vector<std::pair<std::string_view, std::string_view>>;  // path and query parameters, percent-decoded

// The same for every struct, without its type. Errors are Error invalid with the facts field and, for a bound, limit; no message
// repeats a value.
void decode_fields(const Fields& fields, const Pairs& pairs, std::string_view body, void* object);
void validate_fields(const Fields& fields, const void* object);
void encode_fields(const Fields& fields, const void* object, std::string& out);
std::string redact_fields(const Fields& fields, const void* object);
std::string schema_fields(const Fields& fields);
std::string fingerprint_fields(const Fields& fields, const void* object, std::span<const std::string_view> except);

/// Pairs and body into one struct, validated. "" is the body {}. Members match exactly; unknown ones are ignored unless they claim an
/// authority (kAuthorityNames); null is as absent; a name given twice, in whatever places, is refused.
template <class T>
T decode(const Pairs& pairs, std::string_view body) {
  T value;
  decode_fields(fields_of<T>(), pairs, body, &value);
  return value;
}
/// The bounds alone, for structs that were not made from JSON: the same checks that decode makes.
template <class T>
void validate(const T& value) { validate_fields(fields_of<T>(), &value); }
/// Compact JSON. Members with their default value are left out unless the list says always.
template <class T>
std::string encode(const T& value) {
  std::string out;
  encode_fields(fields_of<T>(), &value, out);
  return out;
}
/// Compact JSON for the audit log: what Keep allows.
template <class T>
std::string redact(const T& value) { return redact_fields(fields_of<T>(), &value); }
/// JSON Schema, draft 2020-12.
template <class T>
std::string schema() { return schema_fields(fields_of<T>()); }

/// 32 bytes that differ where any member does, but for the fields named. Of a later release's struct they may be others.
template <class T>
std::string fingerprint(const T& value, std::span<const std::string_view> except) { return fingerprint_fields(fields_of<T>(), &value, except); }

/// Names that would claim who the caller is. That comes from authentication alone; a request that carries one is refused, never ignored.
inline constexpr std::string_view kAuthorityNames[] = {"tenant_id", "scopes", "admin", "role", "actor", "on_behalf_of"};

/// "NAME_b64", the twin of a Kind::bytes field.
inline constexpr std::string_view kTwinSuffix = "_b64";

/// How a list's or map's item that is not UTF-8 is spelt: as an object whose one member has this name, and its bytes as base64. "": such items are text.
constexpr std::string_view item_bytes_name(const Field& field) {
  return field.format == Format::blob ? "path_b64" : field.format == Format::argument ? "b64" : "";
}

/// Throws Error(invalid, "field: why") with the facts field and limit.
[[noreturn]] void refuse_field(std::string_view field, std::string_view why);
[[noreturn]] void refuse_field(std::string_view field, std::string_view why, std::string_view limit);
[[noreturn]] inline void refuse_field(std::string_view field, std::string_view why, size_t limit) {
  refuse_field(field, why, std::string_view(std::to_string(limit)));
}

/// `command` followed by its arguments, each in single quotes, as a shell reads them back.
std::string shell_join(const std::string& command, const std::vector<std::string>& args);

}  // namespace svm::model
