// Runs one harness over its committed corpus: `fuzz-NAME DIRECTORY`. An empty corpus is a failure: it would prove nothing.
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>

#include "harness.hpp"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: fuzz-NAME DIRECTORY\n", stderr);
    return 2;
  }
  unsigned count = 0;
  try {
    for (const auto& entry : std::filesystem::directory_iterator(argv[1])) {
      if (!entry.is_regular_file()) continue;
      std::ifstream file(entry.path(), std::ios::binary);
      const std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
      if (!file) throw std::runtime_error("cannot read " + entry.path().string());
      LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
      ++count;
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  if (count == 0) {
    std::fprintf(stderr, "no input in %s\n", argv[1]);
    return 1;
  }
  std::printf("%u inputs\n", count);
  return 0;
}
