// Archives by libarchive: the system's, in a shared library of its own, so that it never meets the one that is tested.
#pragma once
#include <string>
#include <string_view>

namespace svm::images::test {

enum class Compression { none, gzip, zstd, xz, bzip2 };
std::string compress(std::string_view bytes, Compression compression);

enum class TarFormat { ustar, pax, pax_restricted, gnu };
/// A small tree with one long name or without.
std::string write_tree(TarFormat format, bool long_name);

}  // namespace svm::images::test
