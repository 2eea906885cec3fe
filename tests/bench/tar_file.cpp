#include "tar_file.hpp"

#include <cstdint>
#include <cstdio>
#include <fstream>
#include <stdexcept>

namespace bench {
namespace {

constexpr size_t kBlock = 512;

std::string header(const std::string& name, char type, size_t size, unsigned mode, const std::string& target = "") {
  std::string block(kBlock, '\0');
  const auto put = [&](size_t at, const std::string& text) { block.replace(at, text.size(), text); };
  const auto octal = [&](size_t at, int digits, size_t value) {
    char text[16];
    std::snprintf(text, sizeof text, "%0*zo", digits, value);
    put(at, text);
  };
  put(0, name);
  octal(100, 7, mode);
  octal(108, 7, 0);
  octal(116, 7, 0);
  octal(124, 11, size);
  octal(136, 11, 1'700'000'000);
  block[156] = type;
  put(157, target);
  put(257, "ustar");
  put(263, "00");
  put(148, "        ");
  size_t sum = 0;
  for (const char c : block) sum += static_cast<unsigned char>(c);
  octal(148, 6, sum);
  block[154] = '\0';
  return block;
}

}  // namespace

void write_root_tar(const std::string& path, unsigned files) {
  std::ofstream out(path, std::ios::binary);
  uint32_t state = 1;
  const auto next = [&] { return (state = state * 1664525 + 1013904223) >> 8; };
  std::string directory;
  const std::string text(20'000 + kBlock, 't');
  out << header("usr/", '5', 0, 0755);
  for (unsigned i = 0; i < files; ++i) {
    if (i % 15 == 0) {
      directory = "usr/directory-" + std::to_string(i / 15) + "/";
      out << header(directory, '5', 0, 0755);
    }
    const std::string name = "file-" + std::to_string(i);
    const size_t size = next() % 20'000;
    out << header(directory + name, '0', size, i % 20 == 0 ? 0755 : 0644);
    out.write(text.data(), static_cast<std::streamsize>(size));
    out << std::string((kBlock - size % kBlock) % kBlock, '\0');
    if (i % 12 == 0) out << header(directory + "link-" + std::to_string(i), '2', 0, 0777, name);
  }
  out << std::string(2 * kBlock, '\0');
  if (!out.flush()) throw std::runtime_error("cannot write " + path);
}

}  // namespace bench
