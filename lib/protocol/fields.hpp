// One field list for both directions. A message's fields() names every field once, in wire order and with its bounds; run
// with FieldWriter it encodes, with FieldReader it decodes and checks. The two can therefore not drift apart.
// Internal to lib/protocol. No exceptions: the agent uses this file too.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/bytes.hpp"
#include "protocol/message.hpp"

namespace svm::protocol {

inline constexpr int32_t kMaxErrno = 4095;  // Linux MAX_ERRNO

/// argv and env as execve counts them: every string with its terminating NUL.
class ExecBudget {
 public:
  /// Counts one string of `size` bytes; false when it, or all of them together, is too much.
  bool take(size_t size) noexcept {
    if (size >= kMaxArgBytes) return false;
    total_ += size + 1;
    return total_ <= kMaxExecBytes;
  }

 private:
  size_t total_ = 0;
};

/// Encodes. Bounds are the decoder's business: the writer ignores them.
class FieldWriter {
 public:
  template <class T>
  using Of = const T;

  explicit FieldWriter(std::string& out) : out_(out) {}

  void number(uint16_t v) { out_.u16(v); }
  void number(uint32_t v) { out_.u32(v); }
  void number(uint64_t v) { out_.u64(v); }
  void number(int64_t v) { out_.i64(v); }
  void range(uint32_t v, uint32_t, uint32_t) { out_.u32(v); }
  void range(uint64_t v, uint64_t, uint64_t) { out_.u64(v); }
  void range(int32_t v, int32_t, int32_t) { out_.i32(v); }
  void any(int32_t v) { out_.i32(v); }
  void flag(bool v) { out_.u8(v ? 1 : 0); }
  template <class E>
  void choice(E v, E) {
    if constexpr (sizeof(E) == 1)
      out_.u8(static_cast<uint8_t>(v));
    else
      out_.u16(static_cast<uint16_t>(v));
  }
  void blob(const std::string& v) { out_.bytes(v); }
  void text(const std::string& v, size_t, size_t) { out_.bytes(v); }
  void argument(const std::string& v, ExecBudget&) { out_.bytes(v); }
  template <class T, class F>
  void list(const std::vector<T>& v, uint32_t, size_t, F item) {
    out_.u32(static_cast<uint32_t>(v.size()));
    for (const T& element : v) item(element);
  }
  template <class F>
  void require(F) {}

 private:
  ByteWriter out_;
};

/// Decodes. After the first field that is missing or out of bounds everything reads as zero and done() is false.
class FieldReader {
 public:
  template <class T>
  using Of = T;

  explicit FieldReader(std::string_view in) : in_(in) {}

  void number(uint16_t& v) { v = in_.u16(); }
  void number(uint32_t& v) { v = in_.u32(); }
  void number(uint64_t& v) { v = in_.u64(); }
  void number(int64_t& v) { v = in_.i64(); }
  void range(uint32_t& v, uint32_t least, uint32_t most) { within(v = in_.u32(), least, most); }
  void range(uint64_t& v, uint64_t least, uint64_t most) { within(v = in_.u64(), least, most); }
  void range(int32_t& v, int32_t least, int32_t most) { within(v = in_.i32(), least, most); }
  void any(int32_t& v) { v = in_.i32(); }
  void flag(bool& v) {
    const uint8_t byte = in_.u8();
    v = byte == 1;
    if (byte > 1) in_.fail();
  }
  /// An enum (or a byte) whose values are 0 to `last`.
  template <class E>
  void choice(E& v, E last) {
    static_assert(sizeof(E) <= 2);
    uint16_t raw = 0;
    if constexpr (sizeof(E) == 1)
      raw = in_.u8();
    else
      raw = in_.u16();
    if (raw > static_cast<uint16_t>(last)) {
      in_.fail();
      raw = 0;
    }
    v = static_cast<E>(raw);
  }
  /// Any bytes.
  void blob(std::string& v) { v = in_.bytes(); }
  /// Bytes without NUL, least <= size <= most.
  void text(std::string& v, size_t least, size_t most) {
    const std::string_view bytes = in_.bytes();
    if (bytes.size() < least || bytes.size() > most || bytes.find('\0') != bytes.npos) {
      in_.fail();
      v.clear();
      return;
    }
    v = bytes;
  }
  void argument(std::string& v, ExecBudget& budget) {
    text(v, 0, kMaxArgBytes - 1);
    if (!budget.take(v.size())) in_.fail();
  }
  /// At most `most` elements, none of which takes less than `least_size` encoded bytes.
  template <class T, class F>
  void list(std::vector<T>& v, uint32_t most, size_t least_size, F item) {
    v.clear();
    const uint32_t size = in_.count(least_size);
    if (size > most) return in_.fail();
    v.resize(size);
    for (T& element : v) item(element);
  }
  /// A rule between fields; `rule` is asked only while everything before it was well-formed.
  template <class F>
  void require(F rule) {
    if (in_.ok() && !rule()) in_.fail();
  }
  bool done() const noexcept { return in_.done(); }

 private:
  template <class T>
  void within(T v, T least, T most) {
    if (v < least || v > most) in_.fail();
  }
  ByteReader in_;
};

template <class V, class S>
void path(V& v, S& s) { v.text(s, 0, kMaxPathBytes); }

template <class V, class S>
void absolute_path(V& v, S& s) {
  v.text(s, 1, kMaxPathBytes);
  v.require([&] { return s[0] == '/'; });
}

template <class V, class S>
void enforced_bits(V& v, S& s) { v.range(s, uint64_t{0}, (uint64_t{1} << kEnforcedBits) - 1); }

/// An id that is not (uid_t)-1, which the kernel reads as "leave unchanged".
template <class V, class S>
void id(V& v, S& s) { v.range(s, uint32_t{0}, UINT32_MAX - 1); }

template <class V>
void fields(V& v, typename V::template Of<StepFailure>& s) {
  v.choice(s.step, Step::former_launcher);
  v.range(s.error, 0, kMaxErrno);
  v.require([&] { return s.step != Step::none; });
}

}  // namespace svm::protocol
