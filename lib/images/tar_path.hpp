// Names inside an archive.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

namespace svm::images {

inline constexpr size_t kMaxTarPathBytes = 4094;      // PATH_MAX less its NUL and the leading slash it gets
inline constexpr size_t kMaxTarComponentBytes = 255;  // NAME_MAX
inline constexpr size_t kMaxTarTargetBytes = 4095;    // the text of a symbolic link

/// The name relative to the root, without empty and "." components: "/./a//b/" is "a/b", and "./" is "". Throws Error invalid for
/// what has no single meaning below the root: an empty name, a NUL, "..", a component or a name that is too long.
std::string normalize_tar_path(std::string_view name);

/// Whether the first component is proc, sys or dev: a sandbox has its own.
bool is_kernel_path(std::string_view normalized) noexcept;

/// For messages: printable ASCII, what is not is '?', and no longer than a line.
std::string printable(std::string_view bytes);

}  // namespace svm::images
