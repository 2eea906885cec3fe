#include "gate/watch_stream.hpp"

#include "gate/exchange.hpp"
#include "model/fields.hpp"

namespace svm::gate {
namespace {

std::string_view kind_name(protocol::WatchKind kind) noexcept {
  switch (kind) {
    case protocol::WatchKind::watching: return "watching";
    case protocol::WatchKind::created: return "created";
    case protocol::WatchKind::modified: return "modified";
    case protocol::WatchKind::removed: return "removed";
    case protocol::WatchKind::renamed: return "renamed";
    case protocol::WatchKind::attributes: return "attributes";
    case protocol::WatchKind::overflow: return "overflow";
  }
  return "overflow";
}

}  // namespace

channel::Stream::Next WatchStream::next(int64_t timeout_ms, channel::Piece& out) {
  const auto take = [&] {
    const std::lock_guard lock(mutex_);
    if (events_.empty()) return false;
    out = {protocol::DataKind::event, std::move(events_.front()), ++told_};
    events_.pop_front();
    return true;
  };
  if (take()) return Next::piece;
  channel::Piece piece;
  const Next next = below_->next(timeout_ms, piece);
  if (next != Next::piece) return next;
  std::vector<protocol::WatchEvent> events;
  if (piece.kind != protocol::DataKind::event || !protocol::decode_watch_events(piece.data, events) || events.empty()) malformed_answer();
  {
    const std::lock_guard lock(mutex_);
    for (protocol::WatchEvent& event : events)
      events_.push_back(model::encode(model::FileEvent{std::string(kind_name(event.kind)), std::move(event.path), std::move(event.to), event.is_directory}));
  }
  take();
  return Next::piece;
}

bool WatchStream::readable() const noexcept {
  {
    const std::lock_guard lock(mutex_);
    if (!events_.empty()) return true;
  }
  return below_->readable();
}

}  // namespace svm::gate
