// Sealing memory whose pages something else holds.
#include "core/memfd.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <thread>

#include "core/fd.hpp"

using namespace std::chrono_literals;

namespace {

constexpr size_t kPage = 4096;

/// A memfd of which a pipe holds a page, as the kernel itself does for moments: it cannot be sealed until the pipe is read.
struct Held {
  Held() : file(::memfd_create("held", MFD_CLOEXEC | MFD_ALLOW_SEALING)) {
    REQUIRE(::ftruncate(file.get(), kPage) == 0);
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    out.reset(ends[0]);
    in.reset(ends[1]);
    void* const memory = ::mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
    REQUIRE(memory != MAP_FAILED);
    *static_cast<char*>(memory) = 'x';
    const iovec piece{memory, kPage};
    REQUIRE(::vmsplice(in.get(), &piece, 1, 0) == static_cast<ssize_t>(kPage));
    REQUIRE(::munmap(memory, kPage) == 0);
  }
  void let_go() const {
    char bytes[kPage];
    CHECK(::read(out.get(), bytes, sizeof bytes) == static_cast<ssize_t>(kPage));
  }
  svm::Fd file, out, in;
};

}  // namespace

TEST_CASE("memory that something holds for a moment is sealed when it is let go") {
  Held held;
  std::thread other([&] {
    std::this_thread::sleep_for(600ms);  // longer than the kernel waits by itself
    held.let_go();
  });
  CHECK(svm::seal_memfd(held.file.get()) == 0);
  other.join();
  CHECK(::fcntl(held.file.get(), F_GET_SEALS) == (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE));
}

TEST_CASE("memory that is held for good is waited for no longer than a few seconds") {
  const Held held;
  const auto start = std::chrono::steady_clock::now();
  CHECK(svm::seal_memfd(held.file.get()) == -EBUSY);
  CHECK(std::chrono::steady_clock::now() - start < 10s);
  CHECK(::fcntl(held.file.get(), F_GET_SEALS) == 0);
}

TEST_CASE("what cannot be sealed is said at once") {
  CHECK(svm::seal_memfd(-1) == -EBADF);
}
