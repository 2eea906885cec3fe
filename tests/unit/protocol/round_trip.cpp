// Every struct: what was encoded is what is decoded; a truncation, a trailing byte or another's tag is refused.
#include <doctest/doctest.h>

#include "generate.hpp"

using namespace svm::protocol;
using namespace svm::protocol::test;

TEST_CASE_TEMPLATE("round trip", T, Hello, Ready, StepFailure, ExecRequest, ReadRequest, WriteRequest, StatRequest, ListRequest,
                   GlobRequest, SearchRequest, SearchMatch, SearchSummary, ReplaceRequest, Replaced, MoveRequest, CopyRequest, ChmodRequest, MkdirRequest, RemoveRequest, SymlinkRequest, LinkRequest, WatchRequest, WatchEvent, PackRequest,
                   UnpackRequest, TreeSummary, TreeEntry, DialRequest, ListeningRequest, Listeners, AttachRequest, ProcessListRequest,
                   ProcessSignalRequest, ConsoleRequest, ProcessInfo, StatsRequest, DiskStats, ExecResult,
                   FileInfo, Entry, Result, Init, Online, Spawn, Refused, Kill, Exited, Claim, Claimed, Adopted, Expire) {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    CAPTURE(seed);
    const T value = make<T>(seed);
    const std::string bytes = encoded(value);
    T back = make<T>(seed + 1000);  // nothing of what was there may shine through
    REQUIRE(decoded(bytes, back));
    CHECK(back == value);
    CHECK(encoded(back) == bytes);
  }
}

TEST_CASE_TEMPLATE("every truncation and a trailing byte are refused", T, Hello, Ready, StepFailure, ExecRequest, ReadRequest,
                   WriteRequest, StatRequest, ListRequest, GlobRequest, SearchRequest, SearchMatch, SearchSummary, ReplaceRequest, Replaced, MoveRequest, CopyRequest, ChmodRequest, MkdirRequest, RemoveRequest,
                   SymlinkRequest, LinkRequest, WatchRequest, WatchEvent, PackRequest,
                   UnpackRequest, TreeSummary, TreeEntry, DialRequest, ListeningRequest, Listeners, AttachRequest, ProcessListRequest,
                   ProcessSignalRequest, ConsoleRequest, ProcessInfo, StatsRequest, DiskStats, ExecResult, FileInfo, Entry, Result, Init, Online, Spawn, Refused, Kill,
                   Exited, Claim, Claimed, Adopted, Expire) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    CAPTURE(seed);
    const std::string bytes = encoded(make<T>(seed));
    T out;
    for (size_t size = 0; size < bytes.size(); ++size) {
      CAPTURE(size);
      REQUIRE_FALSE(decoded(std::string_view(bytes).substr(0, size), out));
    }
    for (const char extra : {'\0', '\1', '\xff'}) CHECK_FALSE(decoded(bytes + extra, out));
  }
}

TEST_CASE_TEMPLATE("a flipped bit is refused or decodes to what encodes the same", T, Hello, Ready, StepFailure, ExecRequest,
                   WriteRequest, WatchRequest, WatchEvent, PackRequest,
                   UnpackRequest, TreeEntry, DialRequest, ListeningRequest, Listeners, DiskStats, ExecResult, FileInfo, Entry, Result, Init, Online, Spawn, Refused) {
  const std::string bytes = encoded(make<T>(7));
  size_t refused = 0;
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    std::string flipped = bytes;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
    T out;
    if (!decoded(flipped, out)) {
      ++refused;
    } else {
      CAPTURE(bit);
      CHECK(encoded(out) == flipped);
    }
  }
  CHECK(refused > 0);
}

TEST_CASE("unknown operations and launch messages are refused") {
  const std::string stat = encoded(make<StatRequest>(1));
  Request request;
  for (const uint16_t op : {uint16_t{0}, uint16_t{100}, uint16_t{0x100}, uint16_t{0xffff}}) {
    std::string bytes = stat;
    bytes[0] = static_cast<char>(op & 0xff);
    bytes[1] = static_cast<char>(op >> 8);
    CHECK_FALSE(decode(bytes, request));
  }
  const std::string kill = encoded(make<Kill>(1));
  LaunchMessage message;
  for (const char type : {'\0', '\13', '\xff'}) {
    std::string bytes = kill;
    bytes[0] = type;
    CHECK_FALSE(decode(bytes, message));
  }
}

TEST_CASE("entries follow one another and are appended") {
  std::string bytes;
  std::vector<Entry> entries, back;
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    entries.push_back(make<Entry>(seed));
    encode(bytes, entries.back());
  }
  REQUIRE(decode_entries(bytes, back));
  CHECK(back == entries);
  REQUIRE(decode_entries("", back));
  CHECK(back.size() == 50);
  REQUIRE(decode_entries(bytes, back));
  CHECK(back.size() == 100);

  // An entry's frame may not hold more than the entry.
  std::string one;
  encode(one, entries[0]);
  one[0] = static_cast<char>(one[0] + 1);
  CHECK_FALSE(decode_entries(one + "x", back));
}

TEST_CASE("processes follow one another, each framed by its length") {
  std::string bytes;
  std::vector<ProcessInfo> processes, back;
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    processes.push_back(make<ProcessInfo>(seed));
    encode(bytes, processes.back());
  }
  REQUIRE(decode_processes(bytes, back));
  CHECK(back == processes);
  bytes[0] = static_cast<char>(bytes[0] + 1);
  CHECK_FALSE(decode_processes(bytes, back));
}

TEST_CASE("a list's count beyond what the bytes can hold is refused before anything is allocated") {
  Hello hello = make<Hello>(3);
  hello.groups.clear();
  std::string bytes = encoded(hello);
  bytes.replace(4 + 1 + 1 + 4 + 4, 4, "\xff\xff\xff\xff");
  CHECK_FALSE(decode(bytes, hello));
}
