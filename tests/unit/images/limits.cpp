// Every limit, at it and one beyond.
#include <doctest/doctest.h>

#include "archives.hpp"
#include "core/error.hpp"
#include "images/tar_path.hpp"
#include "reading.hpp"
#include "writer.hpp"

using namespace svm::images;
using namespace svm::images::test;

namespace {

/// The fact "limit" of the refusal; "" where there is none.
std::string limit_hit(std::string_view archive, const TarLimits& limits) {
  try {
    (void)list(archive, limits);
  } catch (const svm::Error& error) {
    CHECK(error.code() == svm::Code::limit);
    for (const auto& [key, value] : error.facts())
      if (key == "limit") return value;
  }
  return "";
}

std::string path_of(size_t bytes) {
  std::string path;
  while (path.size() < bytes) path += std::string(std::min<size_t>(200, bytes - path.size()), 'a') + '/';
  path.resize(bytes);
  if (path.back() == '/') path.back() = 'a';
  return path;
}

}  // namespace

TEST_CASE("entries, those that are skipped too") {
  TarLimits limits;
  limits.entries = 3;
  const std::string three = entry("a", "") + entry("dev/b", "") + Header("c", '3').bytes();
  CHECK(limit_hit(three + end_mark(), limits) == "");
  CHECK(limit_hit(three + entry("d", "") + end_mark(), limits) == "entries");
  CHECK(TarLimits().entries == 1'000'000);
}

TEST_CASE("bytes of the archive") {
  TarLimits limits;
  const std::string tar = entry("a", "hello") + end_mark();
  limits.bytes = tar.size();
  CHECK(limit_hit(tar, limits) == "");
  limits.bytes = tar.size() - 1;
  CHECK(limit_hit(tar, limits) == "bytes");
  // Padding after the end mark counts; so does a promise, before any of it is read.
  limits.bytes = tar.size();
  CHECK(limit_hit(tar + '\0', limits) == "bytes");
  limits.bytes = 1ull << 40;
  CHECK(limit_hit(Header("a").put(124, std::string_view("\x80\0\0\0\0\0\1\0\0\0\0\0", 12)).bytes(), limits) == "bytes");
  CHECK(refusal(Header("a").put(124, std::string_view("\x80\0\0\0\0\0\0\xff\xff\xff\xfe\0", 12)).bytes(), limits).find("ends early") !=
        std::string::npos);
}

TEST_CASE("bytes of names and targets") {
  TarLimits limits;
  limits.path_bytes = 7;
  CHECK(limit_hit(entry("./a", "") + soft_link("bc", "1234") + end_mark(), limits) == "");
  CHECK(limit_hit(entry("./a", "") + soft_link("bc", "12345") + end_mark(), limits) == "path_bytes");
  CHECK(limit_hit(entry("ab", "") + soft_link("bc", "1234") + end_mark(), limits) == "path_bytes");
}

TEST_CASE("ratio") {
  const std::string tar = entry("zeros", std::string(64 * 1024, '\0')) + end_mark();
  const auto passes = [&](uint64_t actual, uint64_t ratio, uint64_t free) {
    TarLimits limits;
    limits.ratio = ratio;
    limits.ratio_free = free;
    TarReader reader(std::make_unique<Pieces>(tar, tar.size(), actual), limits);
    TarEntry one;
    try {
      while (reader.next(one)) {
      }
      return true;
    } catch (const svm::Error& error) {
      CHECK(error.code() == svm::Code::limit);
      return false;
    }
  };
  REQUIRE(tar.size() % 64 == 0);
  CHECK(passes(64, 64, 0));
  CHECK_FALSE(passes(64, 63, 0));
  const uint64_t free = tar.size() - tar.size() / 64 * 10;  // what a ratio of 10 does not cover
  CHECK(passes(64, 10, free));
  CHECK_FALSE(passes(64, 10, free - 1));
  CHECK(passes(64, 1, tar.size()));
}

TEST_CASE("a bomb within the default limits of size is found by its ratio") {
  std::string tar = Header("zeros", '0', 100u << 20).bytes();
  tar.resize(tar.size() + (100u << 20) + 2 * kTarBlock);
  CHECK(limit_hit(compress(tar, Compression::zstd), {}) == "ratio");
  // So few pass: they are cheap.
  tar = Header("zeros", '0', 30u << 20).bytes();
  tar.resize(tar.size() + (30u << 20) + 2 * kTarBlock);
  CHECK(limit_hit(compress(tar, Compression::zstd), {}) == "");
}

TEST_CASE("the length of a name, of its components, and of a link's text") {
  const auto with_path = [](const std::string& path) { return pax(record("path", path)) + entry("a", "") + end_mark(); };
  CHECK(list(with_path(path_of(kMaxTarPathBytes))).size() == 1);
  CHECK(refusal(with_path(path_of(kMaxTarPathBytes + 1))).find("too long") != std::string::npos);
  CHECK(list(with_path("/" + path_of(kMaxTarPathBytes))).size() == 1);
  CHECK(list(with_path("d/" + std::string(kMaxTarComponentBytes, 'a'))).size() == 1);
  CHECK(refusal(with_path("d/" + std::string(kMaxTarComponentBytes + 1, 'a'))).find("too long") != std::string::npos);
  CHECK(list(gnu('L', path_of(kMaxTarPathBytes)) + entry("a", "") + end_mark()).size() == 1);

  const auto with_target = [](const std::string& text) { return pax(record("linkpath", text)) + soft_link("a", "b") + end_mark(); };
  CHECK(list(with_target(std::string(kMaxTarTargetBytes, 't'))).size() == 1);
  CHECK(refusal(with_target(std::string(kMaxTarTargetBytes + 1, 't'))).find("too long") != std::string::npos);
  CHECK(list(gnu('K', std::string(kMaxTarTargetBytes, 't')) + soft_link("a", "b") + end_mark()).size() == 1);
  CHECK(refusal(gnu('K', std::string(kMaxTarTargetBytes + 1, 't')) + soft_link("a", "b") + end_mark()).find("too long") != std::string::npos);
}

TEST_CASE("the size of a pax header") {
  const std::string one = record("comment", std::string(1024 * 1024 - 100, 'c'));
  const std::string rest = record("a", std::string(1024 * 1024 - one.size() - 6, 'b'));
  REQUIRE(one.size() + rest.size() == 1024 * 1024);
  CHECK(list(pax(one + rest) + entry("a", "") + end_mark()).size() == 1);
  const std::string more = record("comment", std::string(1024 * 1024 - 99, 'c'));
  CHECK(refusal(pax(more + rest) + entry("a", "") + end_mark()).find("too long") != std::string::npos);
}
