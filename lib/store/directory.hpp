// The state directory: made private, and refused where others could replace what is in it.
#pragma once
#include <string>

#include "core/fd.hpp"

namespace svm::store {

enum class Make { yes, no };

/// Opens the directory. What is missing of the path is made with mode 0700, whatever the umask. Error not_found when it is missing and
/// must not be made, forbidden when it belongs to another user (root excepted) or others may write to it.
Fd open_state_directory(const std::string& path, Make make);

}  // namespace svm::store
