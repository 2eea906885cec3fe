#include "store/sqlite/reader_pool.hpp"

#include "store/sqlite/open.hpp"

namespace svm::store {

void ReaderPool::add(std::unique_ptr<Connection> connection) {
  const std::lock_guard lock(mutex_);
  idle_.reserve(kMaxReaders);
  idle_.push_back(std::move(connection));
  ++open_;
}

ReaderPool::Lease ReaderPool::take() {
  std::unique_lock lock(mutex_);
  returned_.wait(lock, [this] { return !idle_.empty() || open_ < kMaxReaders; });
  if (!idle_.empty()) {
    std::unique_ptr<Connection> connection = std::move(idle_.back());
    idle_.pop_back();
    return Lease(*this, std::move(connection));
  }
  idle_.reserve(kMaxReaders);  // so that giving back cannot fail
  ++open_;
  lock.unlock();
  try {
    return Lease(*this, open_reader(name_, flags_));
  } catch (...) {
    lock.lock();
    --open_;
    lock.unlock();
    returned_.notify_one();
    throw;
  }
}

void ReaderPool::give_back(std::unique_ptr<Connection> connection) noexcept {
  {
    const std::lock_guard lock(mutex_);
    idle_.push_back(std::move(connection));
  }
  returned_.notify_one();
}

}  // namespace svm::store
