// The lifecycle of a sandbox as data: which event leads from which state to which. Every change of state asks this table.
#pragma once
#include <optional>

#include "model/records.hpp"

namespace svm::manager {

enum class Event {
  started,          // the agent answered
  start_failed,     // no boundary could be built, and nothing of it is left
  destroy_asked,    // by a caller or the reaper
  gone,             // everything of it is gone
  ended_by_itself,  // its process 1 or its launcher ended
  recovered,        // found at open without a living owner
  recovery_stuck,   // the same, but it could not be ended yet
};

/// The state that follows; nothing when the event is not possible there (the caller reports a conflict).
constexpr std::optional<model::State> next_state(model::State state, Event event) noexcept {
  using enum model::State;
  struct Row {
    model::State from;
    Event event;
    model::State to;
  };
  constexpr Row kTable[] = {
      {creating, Event::started, running},
      {creating, Event::start_failed, error},
      {creating, Event::recovered, destroyed},
      {running, Event::destroy_asked, destroying},
      {running, Event::ended_by_itself, destroyed},
      {running, Event::recovered, destroyed},
      {destroying, Event::gone, destroyed},
      {destroying, Event::recovered, destroyed},
      {creating, Event::recovery_stuck, destroying},
      {running, Event::recovery_stuck, destroying},
      {destroying, Event::recovery_stuck, destroying},
  };
  for (const Row& row : kTable)
    if (row.from == state && row.event == event) return row.to;
  return std::nullopt;
}

}  // namespace svm::manager
