// Connections that only read: opened on demand, at most kMaxReaders, each used by one thread at a time.
#pragma once
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "store/sqlite/connection.hpp"

namespace svm::store {

inline constexpr size_t kMaxReaders = 4;

class ReaderPool {
 public:
  ReaderPool(std::string name, int flags) : name_(std::move(name)), flags_(flags) {}
  /// Gives the pool a connection that is open already.
  void add(std::unique_ptr<Connection> connection);

  /// A connection on loan; returned at the end of the scope.
  class Lease {
   public:
    Lease(ReaderPool& pool, std::unique_ptr<Connection> connection) noexcept : pool_(pool), connection_(std::move(connection)) {}
    ~Lease() { pool_.give_back(std::move(connection_)); }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    Connection& operator*() const noexcept { return *connection_; }

   private:
    ReaderPool& pool_;
    std::unique_ptr<Connection> connection_;
  };
  /// Waits when all are in use: no read holds one for longer than a query.
  Lease take();

 private:
  void give_back(std::unique_ptr<Connection> connection) noexcept;
  std::string name_;
  int flags_;
  std::mutex mutex_;
  std::condition_variable returned_;
  std::vector<std::unique_ptr<Connection>> idle_;
  size_t open_ = 0;  // idle or on loan
};

}  // namespace svm::store
