// Removing a directory with all it holds: by descriptors, without recursion, a bounded number of entries a step, never across a mount.
#pragma once
#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "agent/entries.hpp"

namespace svm::agent {

class TreeRemover {
 public:
  /// Of directories that may not be read or written the owner, as whom the caller acts, first changes the mode.
  enum class Modes { stay, open_up };
  explicit TreeRemover(Modes modes = Modes::stay) : modes_(modes) {}

  /// `name` in `parent`, which stays open until the end. 0 or -errno. The caller acts as the same user in every step.
  int start(int parent, const std::string& name);
  /// 1: there is more to do, 0: it is gone, -errno. -EXDEV: a file system is mounted below it.
  int step();

 private:
  /// A directory on the way down: enough to find back up and to know that it is the same one.
  struct Level {
    std::string name;  // in its parent
    dev_t device;
    ino_t inode;
    std::vector<std::string> subdirectories;  // seen and still to be removed
  };
  int descend(int parent, const std::string& name);
  int open(int parent, const std::string& name, Fd& out) const;
  int ascend(Fd& parent);
  int remove_files(Level& level, unsigned& work, bool& empty);
  int rewind();

  const Modes modes_;
  int top_ = -1;
  std::vector<Level> levels_;
  std::optional<DirectoryReader> current_;  // of levels_.back()
  int refilled_ = 0;
};

}  // namespace svm::agent
