// Claims on host ids, between instances, processes and whoever outlives them.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <memory>
#include <string>

#include "core/fd.hpp"
#include "model/records.hpp"
#include "providers/native/id_ranges.hpp"

using svm::providers::native::IdRanges;

namespace {

constexpr uint32_t kBase = 0x6fff'0000;  // instances begin their search far below

/// A child process that runs `body` and exits with what it returns; -1 when it does not.
template <class Body>
int in_child(Body body) {
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(body());
  int status = 0;
  if (pid < 0 || ::waitpid(pid, &status, 0) != pid || !WIFEXITED(status)) return -1;
  return WEXITSTATUS(status);
}

}  // namespace

TEST_CASE("a range belongs to one instance at a time, also within a process") {
  IdRanges first, second;
  REQUIRE(first.problem() == "");
  CHECK(first.claim(kBase));
  CHECK(first.claim(kBase));  // its own already: the store decides within an instance
  CHECK_FALSE(second.claim(kBase));
  CHECK(second.claim(kBase - svm::model::kIdsPerRange));
  first.release(kBase);
  CHECK(second.claim(kBase));
  CHECK_FALSE(first.claim(kBase));
}

TEST_CASE("a range belongs to one process at a time, and is free when that has ended") {
  auto ranges = std::make_unique<IdRanges>();
  REQUIRE(ranges->claim(kBase));
  CHECK(in_child([] { return IdRanges().claim(kBase) ? 1 : 0; }) == 0);
  ranges.reset();
  CHECK(in_child([] { return IdRanges().claim(kBase) ? 1 : 0; }) == 1);
  CHECK(IdRanges().claim(kBase));  // the child ended without a word
}

TEST_CASE("a claim lasts for as long as anybody holds the file") {
  auto ranges = std::make_unique<IdRanges>();
  REQUIRE(ranges->claim(kBase));
  svm::Fd launcher(::dup(ranges->file()));  // what is sent over a socket is the same open file
  ranges.reset();
  CHECK_FALSE(IdRanges().claim(kBase));
  launcher.reset();
  CHECK(IdRanges().claim(kBase));
}

TEST_CASE("without a runtime directory every claim is granted, and the reason is told") {
  char parent[] = "/tmp/stacyvm-unit-XXXXXX";
  REQUIRE(::mkdtemp(parent) != nullptr);
  REQUIRE(::chmod(parent, 0777) == 0);
  const std::string name = std::string(parent) + "/stacyvm";
  svm::Fd file(::open(name.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));  // where the directory would be
  REQUIRE(file);
  CHECK(in_child([&] {
    if (::geteuid() == 0 && ::setresuid(65534, 65534, 65534) != 0) return 1;  // root's is not chosen by the environment
    if (::setenv("XDG_RUNTIME_DIR", parent, 1) != 0) return 2;
    IdRanges ranges;
    if (ranges.problem().empty() || ranges.file() >= 0) return 3;
    return ranges.claim(kBase) && ranges.claim(kBase) ? 0 : 4;
  }) == 0);
  CHECK(::unlink(name.c_str()) == 0);
  CHECK(::rmdir(parent) == 0);
}
