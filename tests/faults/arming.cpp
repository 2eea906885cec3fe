#include "arming.hpp"

#include <elf.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <new>
#include <stdexcept>

namespace svm::test {

Arming::Arming() {
  path_ = (std::filesystem::temp_directory_path() / "stacyvm-fail-points-XXXXXX").string();
  const int file = ::mkstemp(path_.data());
  if (file < 0 || ::ftruncate(file, sizeof(fail_point::Armed)) != 0) throw std::runtime_error("no file for the fail points");
  void* at = ::mmap(nullptr, sizeof(fail_point::Armed), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  ::close(file);
  if (at == MAP_FAILED) throw std::runtime_error("no memory for the fail points");
  table_ = new (at) fail_point::Armed{};
  ::setenv("STACYVM_FAIL_POINTS", path_.c_str(), 1);
}

Arming::~Arming() {
  ::munmap(table_, sizeof(fail_point::Armed));
  ::unlink(path_.c_str());
}

void Arming::arm(const char* name, int32_t action, uint32_t skip) noexcept {
  std::snprintf(table_->name, sizeof table_->name, "%s", name);
  table_->skip = skip;
  table_->action = action;
}

bool Arming::disarm() noexcept { return table_->action.exchange(fail_point::kNone) == fail_point::kNone; }

std::set<std::string> fail_points_of(std::string_view elf) {
  const auto read = [&]<class T>(T& out, size_t at) {
    if (at > elf.size() || elf.size() - at < sizeof out) throw std::runtime_error("not an executable");
    std::memcpy(&out, elf.data() + at, sizeof out);
  };
  Elf64_Ehdr header;
  read(header, 0);
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_ident[EI_CLASS] != ELFCLASS64) throw std::runtime_error("not an executable");
  Elf64_Shdr names;
  read(names, header.e_shoff + header.e_shstrndx * sizeof names);
  std::set<std::string> found;
  for (unsigned i = 0; i < header.e_shnum; ++i) {
    Elf64_Shdr section;
    read(section, header.e_shoff + i * sizeof section);
    if (std::string(elf.data() + names.sh_offset + section.sh_name) != "svm_fail_points") continue;
    std::string_view text = elf.substr(section.sh_offset, section.sh_size);
    while (!text.empty()) {
      const std::string name(text.substr(0, text.find('\0')));
      text.remove_prefix(std::min(text.size(), name.size() + 1));
      if (!name.empty()) found.insert(name);  // between two there may be padding
    }
  }
  return found;
}

}  // namespace svm::test
