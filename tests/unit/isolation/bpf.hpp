// Runs a seccomp program by hand: what the kernel would answer to one call, without making it.
#pragma once
#include <linux/filter.h>
#include <linux/seccomp.h>

#include <cstdint>
#include <cstring>
#include <stdexcept>

#include "isolation/seccomp.hpp"

namespace svm::test {

inline uint32_t run_filter(const isolation::SeccompFilter& filter, const seccomp_data& data, unsigned* steps = nullptr) {
  uint32_t a = 0;
  for (size_t at = 0;; ++at) {
    if (at >= filter.length) throw std::logic_error("the program runs past its end");
    if (steps) ++*steps;
    const sock_filter& i = filter.code[at];
    switch (i.code) {
      case BPF_LD | BPF_W | BPF_ABS:
        if (i.k % 4 != 0 || i.k + 4 > sizeof data) throw std::logic_error("load outside of the call");
        std::memcpy(&a, reinterpret_cast<const char*>(&data) + i.k, 4);
        break;
      case BPF_ALU | BPF_AND | BPF_K: a &= i.k; break;
      case BPF_JMP | BPF_JA: at += i.k; break;
      case BPF_JMP | BPF_JEQ | BPF_K: at += a == i.k ? i.jt : i.jf; break;
      case BPF_JMP | BPF_JGE | BPF_K: at += a >= i.k ? i.jt : i.jf; break;
      case BPF_RET | BPF_K: return i.k;
      default: throw std::logic_error("an instruction the assembler should not emit");
    }
  }
}

}  // namespace svm::test
