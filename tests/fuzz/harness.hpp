// What every harness shares. A broken invariant aborts: libFuzzer and the replay both see it.
#pragma once
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

#define SVM_INVARIANT(condition)                                                       \
  do {                                                                                 \
    if (!(condition)) {                                                                \
      std::fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #condition);     \
      std::abort();                                                                    \
    }                                                                                  \
  } while (false)

namespace svm::fuzz {

inline std::string_view text(const uint8_t* data, size_t size) { return {reinterpret_cast<const char*>(data), size}; }

/// What decodes must encode to the same bytes (one encoding for one value) and decode again to the same value.
template <class T>
void check_round_trip(std::string_view in) {
  T value;
  if (!decode(in, value)) return;
  std::string bytes;
  encode(bytes, value);
  SVM_INVARIANT(bytes == in);
  T again;
  SVM_INVARIANT(decode(bytes, again));
  SVM_INVARIANT(again == value);
}

}  // namespace svm::fuzz
