#include "agent/process_table.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <utility>

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

int ProcessTable::null_device() noexcept {
  if (null_) return null_.get();
  constexpr dev_t kNumber = (1u << 8) | 3u;
  Fd device(::open("/dev/null", O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK));
  struct stat info;
  // Somebody may have put something else there.
  if (!device || ::fstat(device.get(), &info) < 0 || !S_ISCHR(info.st_mode) || info.st_rdev != kNumber) return -1;
  if (set_nonblocking(device.get(), false) != 0) return -1;
  null_ = std::move(device);
  return null_.get();
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
