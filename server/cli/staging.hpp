// What comes to this machine appears whole or not at all: it is made beside its place, under a name of its own, and then moved.
#pragma once
#include <string>

#include "descriptor.hpp"

namespace cli {

/// A file or directory on its way. Not put in its place, it is removed with all that is in it. All throw std::system_error.
class Staging {
 public:
  /// In the directory `parent`, for its owner alone.
  static Staging file(int parent);
  static Staging directory(int parent);
  Staging(Staging&& other) noexcept;
  Staging& operator=(Staging&&) = delete;
  ~Staging();

  int fd() const noexcept { return fd_.get(); }
  const std::string& name() const noexcept { return name_; }

  /// Gives it its permissions and its name in `parent`; a file that has the name is replaced.
  void place(const std::string& name, unsigned mode);
  /// A directory: moves what is in it into the directory `into`, which is on the same file system. Directories that are there stay, and what is in them
  /// that has no counterpart; files are replaced; a directory and something else under one name are an error, before anything is moved. No
  /// symbolic link is followed.
  void merge(int into);

 private:
  Staging(int parent, std::string name) : parent_(parent), name_(std::move(name)) {}
  int parent_;
  std::string name_;  // empty: placed
  Descriptor fd_;
};

/// Opens a directory to make something in it.
Descriptor open_directory(const std::string& path);
/// Removes a file, or a directory and all that is in it, whatever its permissions. No symbolic link is followed. Throws std::system_error.
void remove_tree(int parent, const std::string& name);

}  // namespace cli
