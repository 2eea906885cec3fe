// The bounds of what callers may ask for, in one place. Each has a test at the limit and one beyond.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace svm::model {

// Sandboxes.
inline constexpr int64_t kDefaultTtlMs = 30 * 60 * 1000;
inline constexpr int64_t kMaxTtlMs = 24 * 60 * 60 * 1000;  // that there may be: Code::limit beyond, as beyond a smaller one of the settings
inline constexpr int64_t kMaxAskedTtlMs = int64_t{100} * 366 * kMaxTtlMs;  // that a request may name at all: Code::invalid beyond
inline constexpr int64_t kMinTtlMs = 1;
inline constexpr uint64_t kDefaultMemoryBytes = 1024ull << 20;
inline constexpr uint64_t kDefaultDiskBytes = 1024ull << 20;
inline constexpr uint32_t kDefaultMilliCpus = 1000;
inline constexpr uint32_t kDefaultPids = 256;
inline constexpr uint64_t kMinMemoryBytes = 16ull << 20, kMaxMemoryBytes = 1ull << 44;
inline constexpr uint64_t kMinDiskBytes = 1ull << 20, kMaxDiskBytes = 1ull << 44;
inline constexpr uint32_t kMinMilliCpus = 10, kMaxMilliCpus = 1024 * 1000;
inline constexpr uint32_t kMinPids = 4, kMaxPids = 32768;
inline constexpr size_t kMaxImageBytes = 4095;
inline constexpr size_t kMaxNameBytes = 64;           // a provider, a user, a profile
inline constexpr size_t kMaxOwnerBytes = 128;
inline constexpr size_t kMaxSandboxNameBytes = 63;    // a host name's label has as many
inline constexpr std::string_view kIdPrefix = "sb-";  // of every id, and of no name: one look-up takes both
inline constexpr size_t kMaxIdempotencyKeyBytes = 255;
inline constexpr int64_t kIdempotencyRetentionMs = 24 * 60 * 60 * 1000;  // from the spawn on
inline constexpr int64_t kMaxKeepMs = 30ll * 24 * 60 * 60 * 1000;        // how long a destroyed sandbox's records may be asked to stay
inline constexpr int64_t kEndedRetentionMs = 7ll * 24 * 60 * 60 * 1000;  // how long they stay unasked, with a state directory
inline constexpr size_t kMaxLabelFilters = 16;
inline constexpr uint32_t kMaxExecHistory = 1000;      // ended commands of one sandbox that are remembered; the oldest go first
inline constexpr size_t kMaxExecCommandBytes = 1024;   // of a command's text that history keeps
inline constexpr size_t kMaxEventTypes = 32;          // of one filter
inline constexpr size_t kMaxMetadata = 64;            // entries
inline constexpr size_t kMaxMetadataKeyBytes = 128, kMaxMetadataValueBytes = 2048;
inline constexpr size_t kMaxMounts = 64;
inline constexpr size_t kMaxIdBytes = 64;
inline constexpr uint32_t kDefaultListLimit = 1000, kMaxListLimit = 10'000;

inline constexpr uint32_t kMaxSandboxes = 10'000;     // live in one instance; settings may say less

// Settings.
inline constexpr size_t kMaxSettingsBytes = 1u << 20;
inline constexpr int64_t kMinConnectTimeoutMs = 1, kDefaultConnectTimeoutMs = 10'000, kMaxConnectTimeoutMs = 10 * 60 * 1000;  // to a server
inline constexpr size_t kMaxAliases = 1024, kMaxAliasBytes = 255;

// Templates.
inline constexpr uint32_t kMaxTemplates = 1000;       // of one tenant
inline constexpr size_t kMaxDescriptionBytes = 4096;
inline constexpr size_t kMaxSetup = 32;               // commands
inline constexpr size_t kMaxSetupBytes = 64 * 1024;   // of one of them
inline constexpr int64_t kSetupTimeoutMs = 10 * 60 * 1000;  // of all of them together
inline constexpr uint64_t kMaxSetupOutput = 1u << 20;       // of one of them
inline constexpr size_t kSetupErrorBytes = 512;       // of the end of its standard error, in the message when one fails
inline constexpr size_t kMaxAllowedHosts = 256, kMaxHostBytes = 253;
inline constexpr size_t kMaxSecrets = 64;
inline constexpr uint32_t kMaxPoolSize = 1000;

// Commands. A string's terminating NUL counts, as it does for execve.
inline constexpr size_t kMaxArgumentBytes = 128 * 1024 - 1;  // one argument or NAME=VALUE, without its NUL
inline constexpr size_t kMaxArgs = 4095;              // the program is one more argv entry
inline constexpr size_t kMaxEnv = 4096;
inline constexpr size_t kMaxExecBytes = 512 * 1024;   // argv and env together, with their NULs
inline constexpr int64_t kMaxTimeoutMs = 24 * 60 * 60 * 1000;
inline constexpr uint32_t kMaxTerminalSide = 4096;     // rows or columns
inline constexpr uint64_t kMinRingBytes = 4 * 1024, kDefaultRingBytes = 256 * 1024, kMaxRingBytes = 4 * 1024 * 1024;  // of a background command's output
inline constexpr uint32_t kMaxSignal = 64;
inline constexpr uint32_t kDefaultLogLines = 100, kMaxLogLines = 65'536;  // of the console
inline constexpr size_t kMaxStdinBytes = 64u << 20;
inline constexpr uint64_t kMaxOutputLimit = 1ull << 50;
inline constexpr uint64_t kDefaultUnaryOutput = 16u << 20, kMaxUnaryOutput = 64u << 20;  // what one answer may hold

// Files.
inline constexpr size_t kMaxPathBytes = 4095;
inline constexpr size_t kMaxUploadNameBytes = 64;
inline constexpr size_t kMaxContentBytes = 64u << 20; // in one request; larger files are uploaded on a stream
inline constexpr uint32_t kMaxMode = 07777;
inline constexpr size_t kMaxSearchBytes = 1024;       // of a text that is looked for
inline constexpr size_t kMaxReplacementBytes = 64 * 1024;
inline constexpr uint32_t kMaxListDepth = 64;
inline constexpr uint32_t kDefaultEntries = 10'000, kMaxEntries = 100'000;

// Ports.
inline constexpr uint32_t kMaxPort = 65535;
inline constexpr size_t kMaxPorts = 4096;             // of one list
inline constexpr int64_t kDefaultPortWaitMs = 30'000, kMaxPortWaitMs = 60 * 60 * 1000;

// JSON.
inline constexpr size_t kMaxBodyBytes = 64u << 20;
inline constexpr unsigned kMaxJsonDepth = 32;
inline constexpr size_t kMaxJsonValues = 100'000;     // bounds what a body of tiny values can make us allocate

}  // namespace svm::model
