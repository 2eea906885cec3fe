#include "core/bytes.hpp"

namespace svm {

std::string_view ByteReader::bytes() noexcept {
  const uint32_t size = u32();
  if (!ok_ || in_.size() < size) {
    fail();
    return {};
  }
  const std::string_view v = in_.substr(0, size);
  in_.remove_prefix(size);
  return v;
}

uint32_t ByteReader::count(size_t min_size) noexcept {
  const uint32_t n = u32();
  if (!ok_ || (min_size > 0 && n > in_.size() / min_size)) {
    fail();
    return 0;
  }
  return n;
}

}  // namespace svm
