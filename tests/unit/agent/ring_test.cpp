#include <doctest/doctest.h>

#include <random>

#include "agent/ring.hpp"

using namespace svm;
using agent::Ring;
using agent::RingBudget;
using protocol::DataKind;

namespace {

/// All that is there from `position` on, with its kinds: "o:abc e:x".
std::string all(const Ring& ring, uint64_t position, size_t room = 1000) {
  std::string out, piece(room, '\0');
  for (;;) {
    DataKind kind{};
    const size_t n = ring.read(position, piece.data(), room, kind);
    if (n == 0) return out;
    if (!out.empty()) out += ' ';
    out += (kind == DataKind::err ? "e:" : "o:") + piece.substr(0, n);
    position += n;
  }
}

}  // namespace

TEST_CASE("a ring takes nothing until something comes, then doubles up to its capacity") {
  RingBudget budget;
  {
    Ring ring(budget, 64 * 1024);
    CHECK(budget.used == 0);
    ring.append(DataKind::out, "");
    CHECK(budget.used == 0);
    ring.append(DataKind::out, "x");
    CHECK(budget.used == agent::kRingStartBytes);
    ring.append(DataKind::out, std::string(agent::kRingStartBytes - 1, 'x'));
    CHECK(budget.used == agent::kRingStartBytes);
    ring.append(DataKind::out, "x");
    CHECK(budget.used == 2 * agent::kRingStartBytes);
    ring.append(DataKind::out, std::string(1 << 20, 'x'));
    CHECK(budget.used == ring.capacity());
    CHECK(ring.end() == (1u << 20) + agent::kRingStartBytes + 1);
    CHECK(ring.end() - ring.begin() == ring.capacity());
  }
  CHECK(budget.used == 0);
}

TEST_CASE("kinds are kept, in order, and read in runs of one kind") {
  RingBudget budget;
  Ring ring(budget, 16);
  ring.append(DataKind::out, "abc");
  ring.append(DataKind::err, "X");
  ring.append(DataKind::err, "Y");
  ring.append(DataKind::out, "de");
  CHECK(all(ring, 0) == "o:abc e:XY o:de");
  CHECK(all(ring, 1, 1) == "o:b o:c e:X e:Y o:d o:e");
  CHECK(all(ring, 4) == "e:Y o:de");
  CHECK(all(ring, 7).empty());
  CHECK(all(ring, 8).empty());
}

TEST_CASE("the oldest go first; what is gone is counted; a read across the end of the memory is one") {
  RingBudget budget;
  Ring ring(budget, 8);
  ring.append(DataKind::out, "01234567");
  CHECK(ring.begin() == 0);
  ring.append(DataKind::err, "89");
  CHECK(ring.begin() == 2);
  CHECK(ring.end() == 10);
  CHECK(all(ring, 2) == "o:234567 e:89");
  CHECK(all(ring, 1).empty());  // not there any more
  ring.append(DataKind::err, "abcd");
  CHECK(all(ring, ring.begin()) == "o:67 e:89abcd");
  ring.append(DataKind::out, "the last eight");
  CHECK(all(ring, ring.begin()) == "o:st eight");
  CHECK(ring.end() == 28);
}

TEST_CASE("without budget a ring does not grow, loses the oldest and counts on") {
  RingBudget budget{0, 2 * agent::kRingStartBytes};
  Ring first(budget, 1 << 20), second(budget, 1 << 20), third(budget, 1 << 20);
  first.append(DataKind::out, "1");
  second.append(DataKind::out, "2");
  CHECK(budget.used == budget.most);
  third.append(DataKind::out, std::string(10'000, '3'));  // what every ring has
  CHECK(budget.used == budget.most + agent::kRingStartBytes);
  CHECK(third.begin() == 10'000 - agent::kRingStartBytes);
  CHECK(third.end() == 10'000);
  first.append(DataKind::out, std::string(agent::kRingStartBytes, 'x'));
  CHECK(first.begin() == 1);
  CHECK(first.end() == agent::kRingStartBytes + 1);
}

TEST_CASE("lines are counted from the end") {
  RingBudget budget;
  Ring ring(budget, 1024);
  CHECK(ring.last_lines(5) == 0);
  ring.append(DataKind::out, "a\nb\nc\n");
  CHECK(ring.last_lines(0) == 6);
  CHECK(ring.last_lines(1) == 4);
  CHECK(ring.last_lines(2) == 2);
  CHECK(ring.last_lines(3) == 0);
  CHECK(ring.last_lines(UINT64_MAX) == 0);
  ring.append(DataKind::out, "half");
  CHECK(ring.last_lines(1) == 6);
  CHECK(ring.last_lines(2) == 4);
}

TEST_CASE("whatever is appended and read, the ring agrees with a plain string") {
  std::mt19937 random(7);
  for (const size_t capacity : {1u, 3u, 64u, 65u, 5000u, 20000u}) {
    CAPTURE(capacity);
    RingBudget budget;
    Ring ring(budget, capacity);
    std::string bytes, kinds;
    for (int step = 0; step < 400; ++step) {
      const size_t size = random() % (step % 3 == 0 ? capacity * 2 + 2 : 70);
      const bool err = random() % 3 == 0;
      std::string piece(size, '\0');
      for (char& c : piece) c = static_cast<char>(random());
      ring.append(err ? DataKind::err : DataKind::out, piece);
      bytes += piece;
      kinds.append(size, err ? 'e' : 'o');
      REQUIRE(ring.end() == bytes.size());
      REQUIRE(ring.end() - ring.begin() <= capacity);
      uint64_t at = ring.begin();
      std::string buffer(capacity + 1, '\0');
      while (at < ring.end()) {
        DataKind kind{};
        const size_t n = ring.read(at, buffer.data(), 1 + random() % capacity, kind);
        REQUIRE(n > 0);
        REQUIRE(bytes.compare(at, n, buffer, 0, n) == 0);
        REQUIRE(kinds.substr(at, n) == std::string(n, kind == DataKind::err ? 'e' : 'o'));
        at += n;
      }
    }
    if (capacity >= 64) CHECK(ring.end() - ring.begin() == std::min<size_t>(capacity, bytes.size()));
  }
}
