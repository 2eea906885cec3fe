// Writes a root file system that holds one program, once per compression: make-root PROGRAM DIRECTORY
#include <cstdio>
#include <exception>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <utility>

#include "archives.hpp"
#include "writer.hpp"

namespace {
using namespace svm::images::test;

std::string read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(file), {}};
  if (!file || bytes.empty()) throw std::runtime_error("cannot read " + path);
  return bytes;
}

void write_roots(const std::string& program, const std::string& folder) {
  const std::string tar = directory("bin") + entry("bin/answer", read(program), 0755) + end_mark();
  for (const auto& [suffix, compression] : {std::pair{"gz", Compression::gzip}, std::pair{"zst", Compression::zstd},
                                            std::pair{"xz", Compression::xz}, std::pair{"bz2", Compression::bzip2}}) {
    std::ofstream file(folder + "/root.tar." + suffix, std::ios::binary);
    file << compress(tar, compression);
    if (!file.flush()) throw std::runtime_error("cannot write to " + folder);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return std::fputs("usage: make-root PROGRAM DIRECTORY\n", stderr), 2;
  try {
    write_roots(argv[1], argv[2]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
