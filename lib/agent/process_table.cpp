#include "agent/process_table.hpp"

#include <algorithm>

#include "agent/failure.hpp"

namespace svm::agent {

void ProcessTable::start(const std::shared_ptr<Process>& process) {
  const bool taken = find(process->id()) != nullptr;
  size_t background = 0;
  for (const auto& other : running_) background += other->background() && !other->ended();
  if (taken) {
    process->refuse(failure(Code::conflict, 0, "exec", process->id(), "there is a command with this id"));
    return;
  }
  running_.push_back(process);
  if (process->background() && background >= kMaxBackground)
    process->refuse(failure(Code::limit, 0, "exec", {}, std::to_string(kMaxBackground) + " background commands run already"));
  else
    process->start();
}

std::shared_ptr<Process> ProcessTable::find(std::string_view id) const noexcept {
  if (id.empty()) return nullptr;
  const auto named = [id](const auto& process) { return process->id() == id; };
  if (const auto found = std::find_if(running_.begin(), running_.end(), named); found != running_.end()) return *found;
  const auto found = std::find_if(ended_.begin(), ended_.end(), named);
  return found == ended_.end() ? nullptr : *found;
}

int64_t ProcessTable::next_deadline() const noexcept {
  int64_t next = kNoDeadline;
  for (const auto& process : running_) next = std::min(next, process->deadline());
  return next;
}

void ProcessTable::fire_deadlines(int64_t now_us) {
  for (const auto& process : running_)  // nothing leaves before settle()
    if (process->deadline() <= now_us) process->on_deadline();
}

void ProcessTable::settle() {
  if (!some_ended_) return;
  some_ended_ = false;
  for (const auto& process : running_)
    if (process->ended() && process->background() && !process->id().empty()) ended_.push_back(process);
  std::erase_if(running_, [](const auto& process) { return process->ended(); });
  while (ended_.size() > kMaxEnded) ended_.pop_front();
}

}  // namespace svm::agent
