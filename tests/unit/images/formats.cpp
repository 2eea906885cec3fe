// What other programs write is read as they mean it.
#include <doctest/doctest.h>

#include <memory>

#include "archives.hpp"
#include "core/error.hpp"
#include "reading.hpp"
#include "writer.hpp"

using namespace svm::images;
using namespace svm::images::test;
using svm::Code;
using svm::Error;
using Lines = std::vector<std::string>;

namespace {

Lines expected(const std::string& name) {
  return {"d 750 usr", "f 640 usr/" + name + " 5:hello", "f 755 usr/empty 0:", "l link -> usr/" + name, "h hard = usr/" + name};
}

}  // namespace

TEST_CASE("archives of other writers") {
  CHECK(list(write_tree(TarFormat::ustar, false)) == expected("n"));
  const std::string name(120, 'n');
  CHECK(list(write_tree(TarFormat::pax, true)) == expected(name));
  CHECK(list(write_tree(TarFormat::pax_restricted, true)) == expected(name));
  CHECK(list(write_tree(TarFormat::gnu, true)) == expected(name));
}

TEST_CASE("every compression, told by its first bytes") {
  const std::string tar = directory("a") + entry("a/b", std::string(200'000, 'x')) + end_mark();
  for (const auto compression : {Compression::none, Compression::gzip, Compression::zstd, Compression::xz, Compression::bzip2}) {
    CAPTURE(static_cast<int>(compression));
    const std::string bytes = compress(tar, compression);
    CHECK((compression == Compression::none) == (bytes == tar));
    CHECK(list(bytes) == Lines{"d 755 a", "f 644 a/b 200000:" + std::string(200'000, 'x')});
  }
}

TEST_CASE("a compressed file that is cut or damaged is refused") {
  std::string noise;
  for (uint32_t i = 0, state = 1; i < 300'000; ++i) noise += static_cast<char>((state = state * 1664525 + 1013904223) >> 24);
  const std::string tar = entry("a", noise) + end_mark();
  for (const auto compression : {Compression::gzip, Compression::zstd, Compression::xz, Compression::bzip2}) {
    CAPTURE(static_cast<int>(compression));
    const std::string bytes = compress(tar, compression);
    CHECK_FALSE(refusal(bytes.substr(0, bytes.size() / 2)).empty());
    if (compression == Compression::gzip || compression == Compression::zstd) continue;  // no checksum compared, or none there
    std::string damaged = bytes;
    damaged[damaged.size() / 2] = static_cast<char>(~damaged[damaged.size() / 2]);
    CHECK_FALSE(refusal(damaged).empty());
  }
}

TEST_CASE("gzip of several members is one file; gzip of gzip is refused") {
  const std::string first = entry("a", "1"), second = entry("b", "2") + end_mark();
  CHECK(list(compress(first, Compression::gzip) + compress(second, Compression::gzip)) == Lines{"f 644 a 1:1", "f 644 b 1:2"});
  CHECK(refusal(compress(compress(first + second, Compression::gzip), Compression::gzip)).find("more than once") != std::string::npos);
  CHECK_FALSE(refusal(compress(compress(first + second, Compression::gzip), Compression::xz)).empty());
}

TEST_CASE("what is no tar") {
  CHECK_FALSE(refusal("").empty());
  CHECK_FALSE(refusal("hello").empty());
  CHECK_FALSE(refusal(std::string(kTarBlock, 'x')).empty());
  CHECK_FALSE(refusal(std::string("PK\3\4") + std::string(1000, '\0')).empty());
  CHECK(refusal(end_mark()).empty());  // an archive without entries; resolve() does not take it
}

TEST_CASE("the parts of a name") {
  CHECK(list(Header("b").prefix("a").bytes() + end_mark()) == Lines{"f 644 a/b 0:"});
  // Before POSIX, and in GNU's format, that field is not a name.
  CHECK(list(Header("b").prefix("a").put(257, std::string_view("ustar  \0", 8)).bytes() + end_mark()) == Lines{"f 644 b 0:"});
  CHECK(list(Header("b").prefix("a").put(257, std::string_view("\0\0\0\0\0\0\0\0", 8)).bytes() + end_mark()) == Lines{"f 644 b 0:"});
  CHECK(list(Header(std::string(100, 'a')).prefix(std::string(155, 'b')).bytes() + end_mark()) ==
        Lines{"f 644 " + std::string(155, 'b') + '/' + std::string(100, 'a') + " 0:"});
  // Bytes are bytes.
  CHECK(list(entry("\xff\xfe\n\\", "") + end_mark()) == Lines{"f 644 \xff\xfe\n\\ 0:"});
}

TEST_CASE("long names and targets, pax and GNU") {
  CHECK(list(pax(record("path", "x/y") + record("mtime", "1.5") + record("SCHILY.xattr.user.a", std::string("\0\n", 2))) + entry("n", "1") +
             entry("m", "2") + end_mark()) == Lines{"f 644 x/y 1:1", "f 644 m 1:2"});
  CHECK(list(pax(record("linkpath", "to")) + soft_link("s", "from") + end_mark()) == Lines{"l s -> to"});
  CHECK(list(gnu('K', "to") + gnu('L', "name") + soft_link("s", "from") + end_mark()) == Lines{"l name -> to"});
  CHECK(list(pax(record("comment", "a commit"), 'g') + entry("n", "1") + end_mark()) == Lines{"f 644 n 1:1"});
  CHECK(list(pax("") + entry("n", "1") + end_mark()) == Lines{"f 644 n 1:1"});
}

TEST_CASE("sizes in every form") {
  const std::string body = padded("hello");
  CHECK(list(Header("a").put(124, "     000005 ").bytes() + body + end_mark()) == Lines{"f 644 a 5:hello"});
  CHECK(list(Header("a").put(124, "000000000005").bytes() + body + end_mark()) == Lines{"f 644 a 5:hello"});
  CHECK(list(Header("a").put(124, std::string_view("\x80\0\0\0\0\0\0\0\0\0\0\5", 12)).bytes() + body + end_mark()) == Lines{"f 644 a 5:hello"});
  CHECK(list(pax(record("size", "5")) + entry("a", "hello") + end_mark()) == Lines{"f 644 a 5:hello"});
  // Blank is zero.
  CHECK(list(Header("a").put(124, std::string(12, '\0')).bytes() + end_mark()) == Lines{"f 644 a 0:"});
}

TEST_CASE("every mode loses setuid and setgid, and nothing else") {
  CHECK(list(entry("a", "", 07777) + directory("d", 07777) + directory("e", 0) + Header("b").put(100, "0104755").bytes() + end_mark()) ==
        Lines{"f 1777 a 0:", "d 1777 d", "d 0 e", "f 755 b 0:"});
}

TEST_CASE("data that is not read is passed over, and pieces of any size make the same") {
  const std::string tar = entry("a", std::string(kTarBlock + 1, 'x')) + entry("b", "12") + end_mark();
  TarReader reader(open_source(std::string_view(tar)));
  TarEntry one;
  REQUIRE(reader.next(one));
  REQUIRE(reader.next(one));
  CHECK(one.path == "b");
  std::string_view piece;
  REQUIRE(reader.data(piece));
  CHECK(piece == "12");
  CHECK_FALSE(reader.data(piece));
  CHECK_FALSE(reader.next(one));
  CHECK_FALSE(reader.next(one));

  for (const size_t step : {size_t{1}, size_t{511}, size_t{513}, tar.size()}) {
    TarReader again(std::make_unique<Pieces>(tar, step, 1));
    size_t entries = 0, bytes = 0;
    while (again.next(one)) {
      ++entries;
      while (again.data(piece)) bytes += piece.size();
    }
    CHECK(entries == 2);
    CHECK(bytes == kTarBlock + 3);
  }
}

TEST_CASE("the end mark: zeros to the end of the file") {
  CHECK(list(entry("a", "") + end_mark() + std::string(8 * 1024, '\0')) == Lines{"f 644 a 0:"});
  CHECK(list(entry("a", "") + end_mark() + std::string(7, '\0')) == Lines{"f 644 a 0:"});
}
