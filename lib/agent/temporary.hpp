// What a file is written to before it is whole: another one beside it, which takes its name in the end.
#pragma once
#include <string>

#include "agent/identity.hpp"
#include "core/fd.hpp"

namespace svm::agent {

/// Makes one in `directory`, opened for `access` (O_WRONLY or O_RDWR), as whom the caller acts. 0, or -errno: then `name` is empty.
int make_temporary(int directory, int access, std::string& name, Fd& out);
/// Removes it as `who` and empties `name`; nothing where that is empty already.
void remove_temporary(const Rights& rights, const Identity& who, int directory, std::string& name) noexcept;

/// The same for a directory, opened for reading. 0, or -errno: then `name` is empty.
int make_temporary_directory(int directory, std::string& name, Fd& out);
/// Makes the symbolic link `leaf` with this text. With `replace` it takes the place of what is there, unless that is a directory, in one
/// step. 0 or -errno.
int place_symlink(int directory, const std::string& text, const std::string& leaf, bool replace);

}  // namespace svm::agent
