// What must be so once nobody has a state directory open and nothing of it shall live, whoever was killed and when. Other programs of this
// machine may run sandboxes meanwhile: everything is asked of this test's own.
#pragma once
#include <string>
#include <vector>

namespace svm::test {

class Aftermath {
 public:
  /// Before anything starts: from here on whoever loses its parent is a child of this process, and what the host shows is remembered.
  Aftermath();
  /// Checks, as a doctest assertion each: no process, mount, namespace, control group, id range or file is left, the store is sound, and it
  /// knows every one of the sandboxes as ended.
  void check(const std::string& state_directory, const std::vector<std::string>& sandboxes) const;

 private:
  std::string mounts_;  // empty: nothing could be mounted
};

}  // namespace svm::test
