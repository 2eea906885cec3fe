// Little-endian encoding for the framed protocols: bounds-checked both ways, no exceptions.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>

namespace svm {

/// Appends to a string.
class ByteWriter {
 public:
  explicit ByteWriter(std::string& out) : out_(out) {}
  void u8(uint8_t v) { out_ += static_cast<char>(v); }
  void u16(uint16_t v) { put(v); }
  void u32(uint32_t v) { put(v); }
  void u64(uint64_t v) { put(v); }
  void i32(int32_t v) { put(static_cast<uint32_t>(v)); }
  void i64(int64_t v) { put(static_cast<uint64_t>(v)); }
  /// u32 length, then the bytes.
  void bytes(std::string_view v) {
    u32(static_cast<uint32_t>(v.size()));
    out_ += v;
  }

 private:
  template <class T>
  void put(T v) {
    for (size_t i = 0; i < sizeof v; ++i) out_ += static_cast<char>(v >> (8 * i) & 0xff);
  }
  std::string& out_;
};

/// Reads from a borrowed view. After the first read past the end every read gives zero and ok() is false.
class ByteReader {
 public:
  explicit ByteReader(std::string_view in) : in_(in) {}
  uint8_t u8() noexcept { return take<uint8_t>(); }
  uint16_t u16() noexcept { return take<uint16_t>(); }
  uint32_t u32() noexcept { return take<uint32_t>(); }
  uint64_t u64() noexcept { return take<uint64_t>(); }
  int32_t i32() noexcept { return static_cast<int32_t>(take<uint32_t>()); }
  int64_t i64() noexcept { return static_cast<int64_t>(take<uint64_t>()); }
  /// Borrowed from the input.
  std::string_view bytes() noexcept;
  /// A list's count, refused (ok() false, 0) when the rest cannot hold that many items of `min_size` bytes each.
  uint32_t count(size_t min_size) noexcept;
  bool ok() const noexcept { return ok_; }
  /// All read and nothing left over: the only success a decoder reports.
  bool done() const noexcept { return ok_ && in_.empty(); }
  void fail() noexcept { ok_ = false; in_ = {}; }

 private:
  template <class T>
  T take() noexcept {
    if (in_.size() < sizeof(T)) {
      fail();
      return 0;
    }
    uint64_t v = 0;
    for (size_t i = 0; i < sizeof(T); ++i) v |= static_cast<uint64_t>(static_cast<uint8_t>(in_[i])) << (8 * i);
    in_.remove_prefix(sizeof(T));
    return static_cast<T>(v);
  }
  std::string_view in_;
  bool ok_ = true;
};

}  // namespace svm
