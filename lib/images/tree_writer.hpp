// Where an unpacked tree goes.
#pragma once
#include <cstdint>
#include <string_view>

namespace svm::images {

/// Paths are relative to the new root, as TarEntry has them. Calls may return before their work is done, and are done in their
/// order; a failure is thrown by the call it belongs to or by a later one, by finish() at the latest. After a throw there is no going on.
class TreeWriter {
 public:
  virtual ~TreeWriter() = default;
  /// Missing parents are made, 0755, by this and the ones below. A directory that is there already is left as it is.
  virtual void mkdir(std::string_view path, uint32_t mode) = 0;
  /// A file, whole: begin, any number of data, commit. It replaces a file of that name. `size` is what will come.
  virtual void begin_file(std::string_view path, uint32_t mode, uint64_t size) = 0;
  virtual void data(std::string_view bytes) = 0;
  virtual void commit_file() = 0;
  virtual void symlink(std::string_view path, std::string_view target) = 0;
  virtual void hardlink(std::string_view path, std::string_view existing) = 0;
  virtual void chmod(std::string_view path, uint32_t mode) = 0;
  /// Waits until all is done.
  virtual void finish() = 0;
};

}  // namespace svm::images
