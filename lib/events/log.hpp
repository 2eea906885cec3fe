// What happened, in order, for whoever looks on, and the history of commands. Unlike the audit log it is for programs, is not durable against a power cut, and forgets.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "channel/channel.hpp"
#include "core/log.hpp"
#include "model/records.hpp"
#include "model/system.hpp"
#include "store/store.hpp"

namespace svm::events {

inline constexpr int64_t kIntervalMs = 20;        // an event is stored, and told to who follows, within that
inline constexpr size_t kMaxPending = 10'000;     // events that wait for a store that refuses; the further ones are counted, see "events.lost"
inline constexpr int64_t kMaxRetryMs = 1000;
inline constexpr int64_t kRetentionMs = 7ll * 24 * 60 * 60 * 1000;  // and at most store::Store::kMaxEvents

/// Who wants to know what. Empty: everything.
struct Filter {
  std::vector<std::string> types;
  std::string sandbox_id;
  std::string tenant_id;  // only events of this tenant
  bool passes(const model::Event& event) const;
};

/// Thread-safe. One writer thread, with all signals blocked, stores what came in groups; it starts with the first event. There is one Log
/// per store. Not to be used or destroyed in a forked child.
class Log {
 public:
  /// Stores what it still has and ends every stream (Code::closed).
  virtual ~Log() = default;
  /// `read_only`: the store takes nothing, and append() does nothing.
  static std::unique_ptr<Log> create(store::Store& store, bool read_only, svm::Log diagnostics);

  /// Never waits for the disk, never throws but for want of memory. Events get their ids, which grow by one and never return, in the order of
  /// the calls. Those that could not be stored are counted, and an event "events.lost" is in their place.
  virtual void append(std::string type, const std::string& sandbox_id, const std::string& tenant_id, std::string data) = 0;
  /// Writes a command's start or end to the history (store::Store::record), within kIntervalMs and as events are. One that is not taken
  /// because the store refuses for long is missing there; an "events.lost" says so.
  virtual void record(model::ExecRecord exec) = 0;
  /// Counts one that could not even be made, as those that could not be stored.
  virtual void note_lost() noexcept = 0;
  /// Waits until everything appended before is stored, or the store has refused it.
  virtual void flush() = 0;

  /// Streams, and events that are kept and that there were.
  virtual model::EventCounts counts() = 0;

  /// The events after that id (0: all; -1: only those to come), then those that come, as pieces DataKind::event whose position is the id; it
  /// ends when it is cancelled or the log is closed. The stream holds a place in the table and a page of it: a reader that is slow costs
  /// nothing. Where events are gone that he has not read, he gets "events.gap", position the last one that is gone, data.first_id the next one there is.
  /// Error invalid, field after, beyond the last event.
  virtual std::shared_ptr<channel::Stream> follow(Filter filter, int64_t after_id) = 0;
};

}  // namespace svm::events
