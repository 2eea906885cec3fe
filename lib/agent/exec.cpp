#include "agent/exec.hpp"

#include <algorithm>

#include "agent/process_table.hpp"

namespace svm::agent {

void signal_process(Process& process, int signal, uint32_t flags) {
  if (flags & protocol::kSignalTree)
    process.cancel();
  else
    process.signal(signal, (flags & protocol::kSignalGroup) != 0);
}

Exec::Exec(Loop& loop, uint32_t id, protocol::ExecRequest&& request)
    : Stream(loop, id), process_(std::make_shared<Process>(loop, std::move(request), static_cast<OutputSink*>(this))) {}

Exec::~Exec() {
  process_->unwatch(*this);
  process_->forget(*this);
  process_->abandon();
}

void Exec::start() {
  process_->watch(*this);
  loop_.processes().start(process_);
}

void Exec::on_signal(int signal, uint32_t flags) { signal_process(*process_, signal, flags); }
void Exec::on_resize(uint32_t rows, uint32_t columns) { (void)process_->resize(rows, columns); }  // no terminal: nothing to resize

size_t Exec::output_room() { return finished() || loop_.connection().congested() ? 0 : static_cast<size_t>(std::min<uint64_t>(credit(), protocol::kMaxData)); }

BackgroundExec::BackgroundExec(Loop& loop, uint32_t id, protocol::ExecRequest&& request)
    : Stream(loop, id), process_(std::make_shared<Process>(loop, std::move(request), static_cast<OutputSink*>(nullptr))) {}

BackgroundExec::~BackgroundExec() { process_->unwatch(*this); }

void BackgroundExec::start() {
  process_->watch(*this);
  loop_.processes().start(process_);
}

void BackgroundExec::on_signal(int signal, uint32_t flags) { signal_process(*process_, signal, flags); }
void BackgroundExec::on_resize(uint32_t rows, uint32_t columns) { (void)process_->resize(rows, columns); }

std::unique_ptr<Stream> make_exec(Loop& loop, uint32_t id, protocol::ExecRequest&& request) {
  if (request.background) return std::make_unique<BackgroundExec>(loop, id, std::move(request));
  return std::make_unique<Exec>(loop, id, std::move(request));
}

}  // namespace svm::agent
