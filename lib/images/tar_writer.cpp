#include "images/tar_writer.hpp"

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "images/tar_header.hpp"

namespace svm::images {
namespace {

constexpr size_t kNameBytes = 100;
constexpr uint32_t kWrittenMode = 01777;
constexpr uint64_t kMaxOctalSize = (1ull << 33) - 1;  // eleven digits
constexpr uint32_t kMaxOctalId = (1u << 21) - 1;      // seven
constexpr int64_t kSecond = 1'000'000'000;

struct Header {
  char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type, target[100], magic[6], version[2], user[32], group[32],
      major[8], minor[8], prefix[155], unused[12];
};
static_assert(sizeof(Header) == kTarBlock);

template <size_t N>
void put_octal(char (&field)[N], uint64_t value) {
  char text[24];
  std::snprintf(text, sizeof text, "%0*llo", static_cast<int>(N - 1), static_cast<unsigned long long>(value));
  std::memcpy(field, text, N);
}

template <size_t N>
void put_text(char (&field)[N], std::string_view text) {
  std::memcpy(field, text.data(), std::min(N, text.size()));
}

/// "LENGTH key=value\n", where the length counts its own digits.
void append_record(std::string& out, std::string_view key, std::string_view value) {
  const size_t rest = key.size() + value.size() + 3;
  size_t total = rest + 1;
  while (std::to_string(total).size() + rest != total) ++total;
  out += std::to_string(total);
  out += ' ';
  out += key;
  out += '=';
  out += value;
  out += '\n';
}

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

void append_block(std::string& out, Header& header) {
  put_text(header.magic, std::string_view("ustar\0", 6));
  put_text(header.version, "00");
  std::memset(header.checksum, ' ', sizeof header.checksum);
  unsigned sum = 0;
  const auto* bytes = reinterpret_cast<const unsigned char*>(&header);
  for (size_t i = 0; i < kTarBlock; ++i) sum += bytes[i];
  char text[8];
  std::snprintf(text, sizeof text, "%06o", sum);
  std::memcpy(header.checksum, text, 7);  // and the last one stays a space
  out.append(reinterpret_cast<const char*>(&header), sizeof header);
}

char type_flag(TarItem::Type type) {
  switch (type) {
    case TarItem::Type::file: return '0';
    case TarItem::Type::directory: return '5';
    case TarItem::Type::symlink: return '2';
    case TarItem::Type::hardlink: return '1';
  }
  return '0';
}

}  // namespace

void append_tar_header(std::string& out, const TarItem& item) {
  std::string path = item.path;
  if (item.type == TarItem::Type::directory) path += '/';
  const int64_t rest = item.mtime_ns % kSecond;
  const int64_t seconds = item.mtime_ns / kSecond - (rest < 0);
  const int64_t nanoseconds = rest < 0 ? rest + kSecond : rest;

  std::string records;
  const bool names = path.size() > kNameBytes || !is_ascii(path) || item.target.size() > kNameBytes || !is_ascii(item.target);
  if (names && (!is_ascii(path) || !is_ascii(item.target))) append_record(records, "hdrcharset", "BINARY");
  if (path.size() > kNameBytes || !is_ascii(path)) append_record(records, "path", path);
  if (item.target.size() > kNameBytes || !is_ascii(item.target)) append_record(records, "linkpath", item.target);
  if (item.size > kMaxOctalSize) append_record(records, "size", std::to_string(item.size));
  if (item.uid > kMaxOctalId) append_record(records, "uid", std::to_string(item.uid));
  if (item.gid > kMaxOctalId) append_record(records, "gid", std::to_string(item.gid));
  if (nanoseconds != 0 || seconds < 0 || static_cast<uint64_t>(seconds) > kMaxOctalSize) {
    // Below zero the fraction counts away from it: -1.5 is one and a half before.
    const bool negative = seconds < 0;
    const int64_t whole = negative && nanoseconds != 0 ? seconds + 1 : seconds;
    const int64_t part = negative && nanoseconds != 0 ? kSecond - nanoseconds : nanoseconds;
    char text[40];
    std::snprintf(text, sizeof text, "%s%lld.%09lld", negative ? "-" : "", static_cast<long long>(negative ? -whole : whole), static_cast<long long>(part));
    append_record(records, "mtime", text);
  }
  if (!records.empty()) {
    Header pax{};
    put_text(pax.name, "PaxHeaders/entry");
    put_octal(pax.mode, 0644);
    put_octal(pax.uid, 0);
    put_octal(pax.gid, 0);
    put_octal(pax.size, records.size());
    put_octal(pax.mtime, 0);
    pax.type = 'x';
    append_block(out, pax);
    out += records;
    out.append(tar_padding(records.size()), '\0');
  }
  Header header{};
  put_text(header.name, path);
  put_text(header.target, item.target);
  put_octal(header.mode, item.mode & kWrittenMode);
  put_octal(header.uid, std::min(item.uid, kMaxOctalId));
  put_octal(header.gid, std::min(item.gid, kMaxOctalId));
  put_octal(header.size, item.type != TarItem::Type::file ? 0 : std::min(item.size, kMaxOctalSize));
  put_octal(header.mtime, seconds < 0 ? 0 : std::min(static_cast<uint64_t>(seconds), kMaxOctalSize));
  header.type = type_flag(item.type);
  append_block(out, header);
}

size_t tar_padding(uint64_t size) noexcept { return static_cast<size_t>((kTarBlock - size % kTarBlock) % kTarBlock); }

void append_tar_end(std::string& out) { out.append(2 * kTarBlock, '\0'); }

}  // namespace svm::images
