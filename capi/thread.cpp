#include "thread.hpp"

#include <pthread.h>
#include <signal.h>

#include <thread>

namespace svm::capi {
namespace {

/// No signal of the application may be delivered to a thread of ours.
class BlockSignals {
 public:
  BlockSignals() noexcept {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &saved_);
  }
  ~BlockSignals() { pthread_sigmask(SIG_SETMASK, &saved_, nullptr); }
  BlockSignals(const BlockSignals&) = delete;
  BlockSignals& operator=(const BlockSignals&) = delete;

 private:
  sigset_t saved_;
};

}  // namespace

void start_thread(const char* name, std::function<void()> job) {
  const BlockSignals block;
  std::thread([name, job = std::move(job)] {
    pthread_setname_np(pthread_self(), name);
    job();
  }).detach();
}

}  // namespace svm::capi
