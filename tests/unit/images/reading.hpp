// What the reader makes of an archive, as text.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "images/tar_reader.hpp"

namespace svm::images::test {

/// Bytes in pieces of `step`, said to be compressed to one in `ratio`.
class Pieces final : public ByteSource {
 public:
  Pieces(std::string_view bytes, size_t step, uint64_t ratio) : bytes_(bytes), step_(step), ratio_(ratio) {}
  std::string_view next() override;
  uint64_t consumed() const noexcept override { return given_ / ratio_; }

 private:
  std::string_view bytes_;
  size_t step_;
  uint64_t ratio_, given_ = 0;
};

/// All of an archive as lines: "d 755 a", "f 644 a/b 5:hello", "l a/c -> b", "h a/d = a/b". `repeated` adds " again".
std::vector<std::string> list(std::string_view archive, const TarLimits& limits = {});
/// The message of the Error that reading it ends with; "" if it is read to its end.
std::string refusal(std::string_view archive, const TarLimits& limits = {});

}  // namespace svm::images::test
