// Archives that we write: what our own reader, which refuses every doubt, makes of them; and their bytes.
#include <doctest/doctest.h>

#include <functional>
#include <string>
#include <vector>

#include "images/tar_header.hpp"
#include "images/tar_reader.hpp"
#include "images/tar_writer.hpp"

using namespace svm::images;

namespace {

TarItem item(TarItem::Type type, std::string path, std::string target = {}, uint64_t size = 0) {
  TarItem made;
  made.type = type;
  made.path = std::move(path);
  made.target = std::move(target);
  made.mode = 0644;
  made.size = size;
  return made;
}

std::string archive(const std::vector<TarItem>& items) {
  std::string bytes;
  for (const TarItem& one : items) {
    append_tar_header(bytes, one);
    bytes.append(one.size, 'c');
    bytes.append(tar_padding(one.size), '\0');
  }
  append_tar_end(bytes);
  return bytes;
}

std::string header_of(const TarItem& one) {
  std::string bytes;
  append_tar_header(bytes, one);
  return bytes;
}

/// The value of a record in the pax header that comes first.
std::string record(const std::string& bytes, const std::string& key) {
  const size_t at = bytes.find(' ' + key + '=');
  if (at == bytes.npos) return "";
  const size_t from = at + key.size() + 2;
  return bytes.substr(from, bytes.find('\n', from) - from);
}

}  // namespace

TEST_CASE("what is written is what is read") {
  using T = TarItem::Type;
  const std::string names[] = {"a", std::string(99, 'n'), std::string(100, 'n'), std::string(101, 'n'), std::string(250, 'n') + "/" + std::string(255, 'm'),
                               "\xff\xfe", "new\nline", "-rf", "caf\xc3\xa9", "sp ace"};
  std::vector<TarItem> items;
  for (const std::string& name : names) {
    items.push_back(item(T::directory, "d-" + name));
    items.push_back(item(T::file, "f-" + name, {}, items.size() * 100));
    items.push_back(item(T::symlink, "s-" + name, "/../" + name));
    items.push_back(item(T::hardlink, "h-" + name, "f-" + name));
  }
  const std::string bytes = archive(items);
  CHECK(bytes.size() % 512 == 0);
  TarLimits limits;
  limits.kernel_paths = true;
  TarReader reader(open_source(std::string_view(bytes)), limits);
  TarEntry entry;
  for (const TarItem& one : items) {
    REQUIRE(reader.next(entry));
    CHECK(entry.path == one.path);
    if (one.type == T::symlink || one.type == T::hardlink) CHECK(entry.target == one.target);
    if (one.type == T::file) CHECK(entry.size == one.size);
  }
  CHECK_FALSE(reader.next(entry));
}

TEST_CASE("a fact is said once, and in ustar where that can say it") {
  using T = TarItem::Type;
  CHECK(header_of(item(T::file, std::string(100, 'n'))).size() == 512);
  CHECK(record(header_of(item(T::file, std::string(101, 'n'))), "path") == std::string(101, 'n'));
  CHECK(record(header_of(item(T::file, std::string(101, 'n'))), "hdrcharset") == "");
  CHECK(record(header_of(item(T::file, "\xff")), "hdrcharset") == "BINARY");
  CHECK(record(header_of(item(T::directory, std::string(99, 'n'))), "path") == "");
  CHECK(record(header_of(item(T::directory, std::string(100, 'n'))), "path") == std::string(100, 'n') + "/");
  CHECK(record(header_of(item(T::symlink, "s", std::string(101, 't'))), "linkpath") == std::string(101, 't'));

  TarItem big = item(T::file, "b");
  big.size = (1ull << 33) - 1;
  CHECK(header_of(big).size() == 512);
  CHECK(decode_tar_header(header_of(big)).size == big.size);
  ++big.size;
  CHECK(record(header_of(big), "size") == std::to_string(big.size));
  const std::string bytes = header_of(big);
  CHECK(resolve_tar_size(decode_tar_header(std::string_view(bytes).substr(bytes.size() - 512)).size, big.size) == big.size);

  TarItem id = item(T::file, "i");
  id.uid = (1u << 21) - 1;
  CHECK(header_of(id).size() == 512);
  id.uid = UINT32_MAX;
  CHECK(record(header_of(id), "uid") == "4294967295");
}

TEST_CASE("times to the nanosecond, on both sides of 1970") {
  const std::pair<int64_t, const char*> times[] = {{0, ""}, {1'000'000'000, ""}, {1'500'000'000, "1.500000000"}, {1, "0.000000001"}, {-1'000'000'000, "-1.000000000"},
                                                   {-1'500'000'000, "-1.500000000"}, {-1, "-0.000000001"}, {INT64_MAX, "9223372036.854775807"}, {INT64_MIN, "-9223372036.854775808"}};
  for (const auto& [time, text] : times) {
    TarItem one = item(TarItem::Type::file, "t");
    one.mtime_ns = time;
    CAPTURE(time);
    CHECK(record(header_of(one), "mtime") == text);
  }
}

TEST_CASE("setuid and setgid are not written") {
  TarItem one = item(TarItem::Type::file, "s");
  one.mode = 07755;
  CHECK(decode_tar_header(header_of(one)).mode == 01755);
}

TEST_CASE("bytes that are pulled, and what their source throws") {
  const std::string bytes = archive({item(TarItem::Type::file, "f", {}, 5000)});
  size_t at = 0;
  std::string piece;
  TarReader reader(open_source([&]() -> std::string_view {
    piece = bytes.substr(at, 700);
    at += piece.size();
    return piece;
  }));
  TarEntry entry;
  REQUIRE(reader.next(entry));
  std::string content;
  for (std::string_view data; reader.data(data);) content += data;
  CHECK(content == std::string(5000, 'c'));
  CHECK_FALSE(reader.next(entry));

  struct Gone {};
  int calls = 0;
  CHECK_THROWS_AS((TarReader(open_source([&]() -> std::string_view { throw Gone(); }))), Gone);
  TarReader cut(open_source([&]() -> std::string_view {
    if (calls++ == 0) return std::string_view(bytes).substr(0, 2000);
    throw Gone();
  }));
  REQUIRE(cut.next(entry));
  CHECK_THROWS_AS(cut.next(entry), Gone);
}
