// Archives that mean different things to different readers, or want to leave the root: refused as a whole.
#include <doctest/doctest.h>

#include "archives.hpp"
#include "images/tar_path.hpp"
#include "reading.hpp"
#include "writer.hpp"

using namespace svm::images;
using namespace svm::images::test;
using Lines = std::vector<std::string>;

namespace {
bool refused(const std::string& archive, const char* why) {
  const std::string message = refusal(archive);
  CAPTURE(message);
  const bool named = message.find(why) != std::string::npos;
  CHECK(named);
  return named;
}
}  // namespace

TEST_CASE("names that leave the root") {
  for (const char* name : {"..", "../a", "/..", "a/..", "a/../b", "./../a", "/./.././../etc/passwd",
                           "../../../../../../../../../../../../../../../../etc/passwd"}) {
    CAPTURE(name);
    CHECK(refused(entry(name, "x") + end_mark(), "'..'"));
    CHECK(refused(pax(record("path", name)) + entry("a", "x") + end_mark(), "'..'"));
    CHECK(refused(gnu('L', name) + entry("a", "x") + end_mark(), "'..'"));
    CHECK(refused(entry("a", "x") + hard_link("b", name) + end_mark(), "'..'"));
  }
  // Dots that are names.
  CHECK(list(entry("..a", "") + entry("a..", "") + entry("...", "") + end_mark()) == Lines{"f 644 ..a 0:", "f 644 a.. 0:", "f 644 ... 0:"});
  // Absolute names are below the new root.
  CHECK(list(entry("//etc/./passwd", "") + end_mark()) == Lines{"f 644 etc/passwd 0:"});
}

TEST_CASE("a name that is none") {
  CHECK(refused(entry("", "x") + end_mark(), "without a name"));
  CHECK(refused(entry(".", "x") + end_mark(), "the root is a directory"));
  CHECK(refused(soft_link("./", "x") + end_mark(), "the root is a directory"));
  CHECK(refused(entry("a/", "x") + end_mark(), "ends in a slash"));
  CHECK(refused(pax(record("path", "a/")) + entry("a", "") + end_mark(), "ends in a slash"));
  CHECK(refused(pax(record("path", "")) + entry("a", "") + end_mark(), "empty"));
  CHECK(refused(gnu('L', "") + entry("a", "") + end_mark(), "empty"));
  CHECK(list(directory("./") + directory("/") + directory(".") + entry("a", "") + end_mark()) == Lines{"f 644 a 0:"});
}

TEST_CASE("a NUL in a name") {
  CHECK(refused(pax(record("path", std::string_view("a\0b", 3))) + entry("a", "") + end_mark(), "NUL"));
  CHECK(refused(pax(record("linkpath", std::string_view("a\0", 2))) + soft_link("a", "b") + end_mark(), "NUL"));
  CHECK(refused(gnu('L', std::string_view("a\0b", 3)) + entry("a", "") + end_mark(), "NUL"));
}

TEST_CASE("a size said twice, and differently") {
  const std::string inside = entry("hidden", "");  // what a reader sees that believes the smaller one
  for (const char* size : {"0", "1", "511", "513", "1024"}) {
    CAPTURE(size);
    CHECK(refused(pax(record("size", size)) + entry("a", inside) + end_mark(), "disagree"));
  }
  CHECK(refused(pax(record("size", "512")) + entry("a", "") + inside + end_mark(), "disagree"));
  CHECK(refused(pax(record("size", "-1")) + entry("a", "") + end_mark(), "not a number"));
  CHECK(refused(pax(record("size", "0x10")) + entry("a", "") + end_mark(), "not a number"));
  CHECK(refused(pax(record("size", "9223372036854775808")) + entry("a", "") + end_mark(), "not a number"));
  CHECK(refused(pax(record("size", "5")) + directory("a") + end_mark(), "data where none belongs"));
  CHECK(refused(pax(record("size", "5") + record("size", "5")) + entry("a", "hello") + end_mark(), "twice"));
}

TEST_CASE("beyond 8 GiB a header's size may be a stand-in") {
  constexpr uint64_t kEnd = 1ull << 33;
  CHECK(resolve_tar_size(0, kEnd) == kEnd);
  CHECK(resolve_tar_size(kEnd - 1, kEnd) == kEnd);
  CHECK(resolve_tar_size(kEnd, kEnd) == kEnd);
  CHECK(resolve_tar_size(kEnd - 1, kEnd - 1) == kEnd - 1);
  CHECK_THROWS(resolve_tar_size(0, kEnd - 1));
  CHECK_THROWS(resolve_tar_size(1, kEnd));
  CHECK_THROWS(resolve_tar_size(kEnd - 2, kEnd));
}

TEST_CASE("negative and huge binary sizes") {
  CHECK(refused(Header("a").put(124, std::string(12, '\xff')).bytes() + end_mark(), "negative or too large"));
  CHECK(refused(Header("a").put(124, std::string_view("\x80\0\0\0\x80\0\0\0\0\0\0\0", 12)).bytes() + end_mark(), "negative or too large"));
  CHECK(refused(Header("a").put(124, std::string_view("\x80\1\0\0\0\0\0\0\0\0\0\0", 12)).bytes() + end_mark(), "negative or too large"));
  CHECK(refused(Header("a").put(124, std::string_view("\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff", 12)).bytes() + end_mark(), "too large"));
  CHECK(refused(Header("a").put(124, "-0000000001").bytes() + end_mark(), "not a number"));
  CHECK(refused(Header("a").put(124, "0000 000005").bytes() + end_mark(), "not a number"));
  CHECK(refused(Header("a").put(124, "00000000008").bytes() + end_mark(), "not a number"));
}

TEST_CASE("headers for one entry of two kinds, or twice") {
  const std::string p = pax(record("path", "p")), l = gnu('L', "l"), k = gnu('K', "k"), e = entry("a", ""), end = end_mark();
  CHECK(refused(p + l + e + end, "two headers"));
  CHECK(refused(l + p + e + end, "two headers"));
  CHECK(refused(p + k + soft_link("a", "b") + end, "two headers"));
  CHECK(refused(p + p + e + end, "two headers"));
  CHECK(refused(l + l + e + end, "two headers"));
  CHECK(refused(k + l + k + e + end, "two headers"));
  CHECK(refused(p + pax(record("comment", "c"), 'g') + e + end, "two headers"));
  CHECK(refused(p + end, "should follow"));
  CHECK(refused(l + end, "should follow"));
  CHECK(refused(pax(record("path", "p"), 'g') + e + end, "for all entries"));
  CHECK(refused(pax(record("size", "0"), 'g') + e + end, "for all entries"));
  CHECK(refused(pax(record("path", "p") + record("path", "q")) + e + end, "twice"));
}

TEST_CASE("pax records that are not well-formed") {
  for (const char* records : {"x", "5", "5 a=b\n", "7 a=b\n", "6 a=bc", "-6 a=b\n", "06 =bc\n", "6 abc\n", "0 a=b\n", "2 ", "99999999999999999999999 a=b\n",
                              "6 a=b\n6 a"}) {
    CAPTURE(records);
    CHECK(refused(pax(records) + entry("a", "") + end_mark(), "a pax record"));
  }
}

TEST_CASE("one name twice") {
  const std::string end = end_mark();
  CHECK(refused(entry("a", "1") + entry("a", "2") + end, "twice"));
  CHECK(refused(entry("a", "1") + entry("./a", "2") + end, "twice"));
  CHECK(refused(soft_link("a", "b") + directory("a") + end, "twice"));
  CHECK(refused(directory("a") + soft_link("a", "b") + end, "twice"));
  CHECK(refused(soft_link("a", "b") + entry("a", "1") + end, "twice"));
  CHECK(refused(entry("a/b", "1") + soft_link("a", "b") + end, "twice"));  // implied before
  CHECK(refused(entry("a", "1") + hard_link("a", "a") + end, "twice"));
  CHECK(refused(entry("a", "1") + entry("a/b", "2") + end, "a file with names below it"));
  CHECK(refused(entry("a", "1") + hard_link("h", "a") + entry("h/x/y", "2") + end, "a file with names below it"));
  CHECK(list(directory("a", 0700) + entry("a/b", "") + directory("a", 0500) + end) == Lines{"d 700 a", "f 644 a/b 0:", "d 500 a again"});
  CHECK(list(entry("a/b/c", "") + directory("a/b") + directory("a") + end) == Lines{"f 644 a/b/c 0:", "d 755 a/b again", "d 755 a again"});
}

TEST_CASE("links") {
  const std::string end = end_mark();
  CHECK(refused(hard_link("a", "b") + end, "came before"));
  CHECK(refused(hard_link("a", "/etc/passwd") + end, "came before"));
  CHECK(refused(hard_link("a", "a") + end, "came before"));
  CHECK(refused(directory("d") + hard_link("a", "d") + end, "came before"));
  CHECK(refused(soft_link("s", "/etc/passwd") + hard_link("a", "s") + end, "came before"));
  CHECK(refused(entry("dev/x", "1") + hard_link("a", "dev/x") + end, "came before"));
  CHECK(refused(hard_link("a", ".") + end, "came before"));
  CHECK(refused(soft_link("a", "") + end, "empty"));
  CHECK(refused(hard_link("a", "") + end, "empty"));
  CHECK(list(entry("f", "1") + hard_link("g", "/f") + hard_link("h", "./g") + end) == Lines{"f 644 f 1:1", "h g = f", "h h = g"});
  // A symbolic link is text, wherever it points; a name through it is resolved by whoever unpacks, inside the root.
  CHECK(list(soft_link("up", "../../../..") + entry("up/x", "1") + end) == Lines{"l up -> ../../../..", "f 644 up/x 1:1"});
}

TEST_CASE("devices and the kernel's directories are skipped and counted") {
  const std::string tar = Header("null", '3').bytes() + Header("disk", '4').bytes() + Header("fifo", '6').bytes() + directory("dev") +
                          entry("dev/a", "123") + entry("./proc/x", "") + soft_link("/sys", "a") + entry("device", "") + entry("a/dev", "") +
                          directory(".") + end_mark();
  TarReader reader(open_source(std::string_view(tar)));
  TarEntry one;
  std::vector<std::string> names;
  while (reader.next(one)) names.push_back(one.path);
  CHECK(names == Lines{"device", "a/dev"});
  CHECK(reader.skipped() == 8);
  // Skipped is not unchecked.
  CHECK(refused(entry("dev/../etc/passwd", "") + end_mark(), "'..'"));
  CHECK(refused(Header("../null", '3').bytes() + end_mark(), "'..'"));
}

TEST_CASE("data where none belongs, types that are not known, sparse files") {
  for (const char type : {'1', '2', '3', '4', '5', '6'}) {
    CAPTURE(type);
    CHECK(refused(Header("a", type, 512).target("b").bytes() + std::string(512, 'x') + end_mark(), "data where none belongs"));
  }
  for (const char type : {'8', 'A', 'D', 'M', 'N', 'V', 'X', '\xff'}) {
    CAPTURE(type);
    CHECK(refused(Header("a", type).bytes() + end_mark(), "unknown type"));
  }
  CHECK(refused(Header("a", 'S').bytes() + end_mark(), "sparse"));
  CHECK(refused(pax(record("GNU.sparse.major", "1")) + entry("a", "") + end_mark(), "sparse"));
}

TEST_CASE("an archive that ends early, late, or twice") {
  const std::string one = entry("a", "hello"), end = end_mark();
  for (size_t cut = 1; cut <= one.size() + kTarBlock; ++cut) {
    CAPTURE(cut);
    const std::string whole = one + end;
    CHECK_FALSE(refusal(whole.substr(0, whole.size() - cut)).empty());
  }
  CHECK(refused(one + end + entry("b", "") + end, "follows the end"));
  CHECK(refused(one + end + "x", "follows the end"));
  CHECK(refused(one + end + std::string(100'000, '\0') + "x", "follows the end"));
  CHECK(refused(one + std::string(kTarBlock, '\0') + entry("b", "") + end, "between entries"));
  CHECK(refused(compress(one + end, Compression::gzip) + compress(entry("b", "") + end, Compression::gzip), "follows the end"));
}

TEST_CASE("any byte of a header turned over is noticed") {
  const std::string whole = entry("a", "hello") + end_mark();
  for (size_t i = 0; i < kTarBlock; ++i) {
    std::string damaged = whole;
    damaged[i] = static_cast<char>(~damaged[i]);
    CAPTURE(i);
    // Byte 154 is the NUL between the checksum's digits and its space.
    if (i != 154 && i != 155) CHECK_FALSE(refusal(damaged).empty());
  }
}

TEST_CASE("messages are one printable line") {
  const std::string message = refusal(entry(std::string("\x1b[31m\n\xff/..", 10), "") + end_mark());
  CHECK(message.find("?[31m?" "?/..") != std::string::npos);
  CHECK(message.find("entry 1") != std::string::npos);
  CHECK(printable(std::string(200, 'a')) == std::string(200, 'a'));
  CHECK(printable(std::string(201, 'a')) == std::string(200, 'a') + "...");
}
