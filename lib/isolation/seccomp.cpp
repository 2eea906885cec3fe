// The system call filter: an assembler for classic BPF that turns seccomp_table.hpp into one binary search over ranges of numbers,
// with a short argument check at the leaves that need one. It runs in the compiler; the agent only carries the result.
//
// Arguments: each one that is checked here is an `int`, a `pid_t` or an `unsigned int` to the kernel (clone's flags included: it takes
// lower_32_bits), which ignores the upper half of the register. So does the filter; comparing 64 bits would let a caller hide behind
// a set high bit.
#include "isolation/seccomp.hpp"

#include <linux/audit.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "isolation/seccomp_table.hpp"

namespace svm::isolation {

// Never defined: the compiler stops where its evaluation would call one.
void number_stands_in_two_lists();
void filter_is_too_long();
void jump_is_too_far();
void last_range_is_not_absent();

namespace {

#ifdef __x86_64__
constexpr uint32_t kAuditArch = AUDIT_ARCH_X86_64;
#else
constexpr uint32_t kAuditArch = AUDIT_ARCH_AARCH64;
#endif

constexpr uint32_t kAllow = SECCOMP_RET_ALLOW;
constexpr uint32_t kKill = SECCOMP_RET_KILL_PROCESS;
constexpr uint32_t refuse(int error) { return SECCOMP_RET_ERRNO | static_cast<uint32_t>(error); }

enum class Rule : uint8_t { absent, allow, refused, own_process, clone, socket, socketpair, ioctl, personality, prctl, madvise, setpriority, ioprio };

constexpr size_t kTableSize = 512;
static_assert(table::kLastKnownCall < static_cast<long>(kTableSize));

struct Table {
  Rule rule[kTableSize] = {};  // absent
  bool listed[kTableSize] = {};
  constexpr void set(long number, Rule value) {
    if (listed[number]) number_stands_in_two_lists();
    listed[number] = true;
    rule[number] = value;
  }
  template <size_t N>
  constexpr void set(const long (&numbers)[N], Rule value) {
    for (const long number : numbers) set(number, value);
  }
};

consteval Table make_table(Profile profile) {
  Table t;
  t.set(table::kAllowed, Rule::allow);
  t.set(table::kRefused, Rule::refused);
  t.set(table::kAbsent, Rule::absent);
  t.set(table::kDebugOnly, profile == Profile::debug ? Rule::allow : Rule::refused);
  t.set(table::kOwnProcessOnly, Rule::own_process);
  t.set(SYS_clone, Rule::clone);
  t.set(SYS_socket, Rule::socket);
  t.set(SYS_socketpair, Rule::socketpair);
  t.set(SYS_ioctl, Rule::ioctl);
  t.set(SYS_personality, Rule::personality);
  t.set(SYS_prctl, Rule::prctl);
  t.set(SYS_madvise, Rule::madvise);
  t.set(SYS_setpriority, Rule::setpriority);
  t.set(SYS_ioprio_set, Rule::ioprio);
  return t;
}

// --- values of other headers that this one file needs
constexpr uint32_t kCloneNamespaces = 0x7E020000;  // CLONE_NEW{NS,CGROUP,UTS,IPC,USER,PID,NET}
constexpr uint32_t kSocketTypeMask = 0xf;          // the rest are SOCK_NONBLOCK and SOCK_CLOEXEC
constexpr uint32_t kIoprioWhoProcess = 1;
constexpr uint32_t kPrioProcess = 0;
constexpr uint32_t kPrctlSchedCore = 62, kPrctlSetMemoryMerge = 67;
constexpr uint32_t kProtocolTcp = 6, kProtocolUdp = 17, kProtocolIcmp = 1, kProtocolIcmp6 = 58;
constexpr uint32_t kPersonalityQuery = 0xffffffff, kPersonalityLinux32 = 0x8, kPersonalityUname26 = 0x20000, kPersonalityNoRandomize = 0x40000;

class Assembler {
 public:
  consteval explicit Assembler(Profile profile) : table_(make_table(profile)), debug_(profile == Profile::debug) {}

  consteval SeccompFilter assemble() {
    load(offsetof(seccomp_data, arch));
    unless_equal(kAuditArch, kKill);  // the 32-bit entry has other numbers
    load(offsetof(seccomp_data, nr));
    find_ranges();
    search(0, range_count_);
    return filter_;
  }

 private:
  struct Range {
    uint32_t first = 0;
    Rule rule = Rule::absent;
  };

  consteval void emit(unsigned code, uint32_t k, size_t jump_true = 0, size_t jump_false = 0) {
    if (filter_.length == kMaxFilterLength) filter_is_too_long();
    if (jump_true > 255 || jump_false > 255) jump_is_too_far();
    filter_.code[filter_.length++] = {static_cast<uint16_t>(code), static_cast<uint8_t>(jump_true), static_cast<uint8_t>(jump_false), k};
  }
  consteval void load(size_t offset) { emit(BPF_LD | BPF_W | BPF_ABS, static_cast<uint32_t>(offset)); }
  /// The low half of an argument.
  consteval void load_argument(size_t i) { load(offsetof(seccomp_data, args) + 8 * i); }
  consteval void mask(uint32_t bits) { emit(BPF_ALU | BPF_AND | BPF_K, bits); }
  consteval void answer(uint32_t action) { emit(BPF_RET | BPF_K, action); }
  consteval void if_equal(uint32_t value, uint32_t action) {
    emit(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1);
    answer(action);
  }
  consteval void unless_equal(uint32_t value, uint32_t action) {
    emit(BPF_JMP | BPF_JEQ | BPF_K, value, 1, 0);
    answer(action);
  }

  consteval void find_ranges() {
    for (uint32_t number = 0; number < kTableSize; ++number) {
      if (number > 0 && table_.rule[number] == ranges_[range_count_ - 1].rule) continue;
      ranges_[range_count_++] = {number, table_.rule[number]};
    }
    // What lies behind the table, the x32 bit included, belongs to its last range.
    if (ranges_[range_count_ - 1].rule != Rule::absent) last_range_is_not_absent();
  }

  /// Code that decides among ranges [from, to), with the number in the accumulator.
  consteval void search(size_t from, size_t to) {
    if (to - from == 1) return leaf(ranges_[from].rule);
    const size_t middle = from + (to - from) / 2;
    const size_t at = filter_.length;
    emit(BPF_JMP | BPF_JGE | BPF_K, ranges_[middle].first);
    search(from, middle);
    size_t left = filter_.length - at - 1;
    if (left > 255) {
      // Too far for a conditional jump: make room for an unconditional one. Jumps inside the left half are relative and stay right.
      emit(BPF_RET | BPF_K, 0);
      for (size_t i = filter_.length - 1; i > at + 1; --i) filter_.code[i] = filter_.code[i - 1];
      filter_.code[at].jf = 1;
      filter_.code[at + 1] = {BPF_JMP | BPF_JA, 0, 0, static_cast<uint32_t>(left)};
    } else {
      filter_.code[at].jt = static_cast<uint8_t>(left);
    }
    search(middle, to);
  }

  consteval void leaf(Rule rule) {
    switch (rule) {
      case Rule::absent: return answer(refuse(ENOSYS));
      case Rule::allow: return answer(kAllow);
      case Rule::refused: return answer(refuse(EPERM));
      case Rule::own_process:
        load_argument(0);
        if_equal(0, kAllow);
        return answer(refuse(EPERM));
      case Rule::clone:
        load_argument(0);
        mask(kCloneNamespaces);
        if_equal(0, kAllow);
        return answer(refuse(EPERM));
      case Rule::socket: return socket_leaf();
      case Rule::socketpair:
        load_argument(0);
        if_equal(AF_UNIX, kAllow);
        return answer(refuse(EAFNOSUPPORT));
      case Rule::ioctl:  // typing into, or taking over, a terminal that others use
        load_argument(1);
        if_equal(TIOCSTI, refuse(EPERM));
        if_equal(TIOCLINUX, refuse(EPERM));
        if_equal(TIOCCONS, refuse(EPERM));
        return answer(kAllow);
      case Rule::personality:
        load_argument(0);
        if_equal(0, kAllow);
        if_equal(kPersonalityLinux32, kAllow);
        if_equal(kPersonalityUname26, kAllow);
        if_equal(kPersonalityUname26 | kPersonalityLinux32, kAllow);
        if_equal(kPersonalityQuery, kAllow);
        if (debug_) if_equal(kPersonalityNoRandomize, kAllow);  // what gdb asks for before it starts a program
        return answer(refuse(EPERM));
      case Rule::prctl:
        load_argument(0);
        if_equal(PR_SET_MM, refuse(EPERM));
        if_equal(kPrctlSchedCore, refuse(EPERM));       // idles the sibling thread of every core it runs on
        if_equal(kPrctlSetMemoryMerge, refuse(EPERM));  // pages merged with a neighbour's tell what the neighbour holds
        return answer(kAllow);
      case Rule::madvise:
        load_argument(2);
        if_equal(MADV_MERGEABLE, refuse(EINVAL));  // the same; EINVAL is what a kernel without page merging says
        return answer(kAllow);
      case Rule::setpriority: return pair_leaf(kPrioProcess);
      case Rule::ioprio: return pair_leaf(kIoprioWhoProcess);
    }
  }

  /// (which, who): the caller itself, and no group or user of processes.
  consteval void pair_leaf(uint32_t which) {
    load_argument(0);
    unless_equal(which, refuse(EPERM));
    load_argument(1);
    if_equal(0, kAllow);
    answer(refuse(EPERM));
  }

  /// Local and internet sockets without raw packets, and routing netlink. Everything else (AF_ALG, AF_PACKET, AF_VSOCK, AF_RXRPC, AF_KEY, SCTP,
  /// SMC ...) is kernel code that a sandbox has no use for and that has been broken before.
  consteval void socket_leaf() {
    load_argument(0);
    if_equal(AF_UNIX, kAllow);
    emit(BPF_JMP | BPF_JEQ | BPF_K, AF_NETLINK, 0, 4);
    load_argument(2);
    if_equal(0, kAllow);  // NETLINK_ROUTE
    answer(refuse(EAFNOSUPPORT));
    emit(BPF_JMP | BPF_JEQ | BPF_K, AF_INET, 2, 0);
    unless_equal(AF_INET6, refuse(EAFNOSUPPORT));
    load_argument(1);
    mask(kSocketTypeMask);
    emit(BPF_JMP | BPF_JEQ | BPF_K, SOCK_STREAM, 2, 0);
    unless_equal(SOCK_DGRAM, refuse(EPERM));
    load_argument(2);
    for (const uint32_t protocol : {0u, kProtocolTcp, kProtocolUdp, kProtocolIcmp, kProtocolIcmp6}) if_equal(protocol, kAllow);
    answer(refuse(EPROTONOSUPPORT));
  }

  Table table_;
  bool debug_;
  Range ranges_[kTableSize] = {};
  size_t range_count_ = 0;
  SeccompFilter filter_;
};

constexpr SeccompFilter kStandard = Assembler(Profile::standard).assemble();
constexpr SeccompFilter kDebug = Assembler(Profile::debug).assemble();

}  // namespace

const SeccompFilter& seccomp_filter(Profile profile) noexcept { return profile == Profile::debug ? kDebug : kStandard; }

int install_seccomp(Profile profile) noexcept {
  const SeccompFilter& filter = seccomp_filter(profile);
  const sock_fprog program{filter.length, const_cast<sock_filter*>(filter.code)};
  const long result = syscall_result(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program);
  // A positive answer is the thread that could not be brought under the filter.
  return result > 0 ? -ESRCH : static_cast<int>(result);
}

}  // namespace svm::isolation
