// An instance without a state directory: its id is kept as a lock file, so that what a killed one left can be told from what lives.
#pragma once
#include <string>

#include "core/fd.hpp"

namespace svm::manager {

/// Makes `<runtime>/<id>.lock` and holds a lock on it. Making one also removes, for every id whose lock is free, its control groups and its
/// file. <runtime> is per user: see providers/runtime_directory.hpp. The lock is the process's: a forked child does not keep it.
class PrivateInstance {
 public:
  PrivateInstance();
  ~PrivateInstance();
  const std::string& id() const noexcept { return id_; }

 private:
  void sweep();
  Fd directory_, file_;
  std::string id_, name_;  // name_: of the file
};

}  // namespace svm::manager
