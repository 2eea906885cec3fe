#include "images/tar_header.hpp"

#include <algorithm>
#include <charconv>

#include "core/error.hpp"
#include "images/tar_path.hpp"

namespace svm::images {
namespace {

struct Field {
  size_t offset, size;
  std::string_view of(std::string_view block) const { return block.substr(offset, size); }
};
constexpr Field kName{0, 100}, kMode{100, 8}, kSize{124, 12}, kChecksum{148, 8}, kTarget{157, 100}, kMagic{257, 8}, kPrefix{345, 155};
constexpr size_t kType = 156;

constexpr uint64_t kHeaderSizeEnd = 1ull << 33;  // the first size that eleven octal digits cannot say

[[noreturn]] void refuse(std::string what) { throw Error(Code::invalid, std::move(what)); }

std::string until_nul(std::string_view field) { return std::string(field.substr(0, field.find('\0'))); }

/// Octal digits between spaces and NULs. A field of those only is zero.
uint64_t decode_octal(std::string_view field, const char* what) {
  const auto is_blank = [](char c) { return c == ' ' || c == '\0'; };
  while (!field.empty() && field.front() == ' ') field.remove_prefix(1);
  while (!field.empty() && is_blank(field.back())) field.remove_suffix(1);
  uint64_t value = 0;
  for (const char digit : field) {
    if (digit < '0' || digit > '7') refuse(std::string("the ") + what + " is not a number");
    value = value << 3 | static_cast<uint64_t>(digit - '0');  // at most 12 digits: 36 bits
  }
  return value;
}

/// As above, or GNU's binary form: a first byte with the high bit set.
uint64_t decode_size(std::string_view field) {
  const auto first = static_cast<unsigned char>(field.front());
  if (first < 0x80) return decode_octal(field, "size");
  if (first != 0x80) refuse("the size is negative or too large");
  uint64_t value = 0;
  for (const char c : field.substr(1)) {
    if (value >> 55) refuse("the size is negative or too large");  // beyond 2^63 - 1
    value = value << 8 | static_cast<unsigned char>(c);
  }
  return value;
}

TarKind kind_of(char type, const std::string& name) {
  switch (type) {
    case '\0':
    case '0':
    case '7': return TarKind::file;
    case '1': return TarKind::hardlink;
    case '2': return TarKind::symlink;
    case '3':
    case '4':
    case '6': return TarKind::special;
    case '5': return TarKind::directory;
    case 'x': return TarKind::pax;
    case 'g': return TarKind::pax_global;
    case 'L': return TarKind::gnu_name;
    case 'K': return TarKind::gnu_target;
    case 'S': refuse("'" + printable(name) + "': sparse files are not read");
    default: refuse("'" + printable(name) + "': unknown type '" + printable({&type, 1}) + "'");
  }
}

bool has_data(TarKind kind) {
  return kind != TarKind::directory && kind != TarKind::symlink && kind != TarKind::hardlink && kind != TarKind::special;
}

template <class T>
void set_once(std::optional<T>& member, T value, std::string_view key) {
  if (member) refuse("the pax record '" + std::string(key) + "' comes twice");
  member = std::move(value);
}

/// A decimal number and nothing else.
uint64_t decode_decimal(std::string_view text, const char* what) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value > INT64_MAX) refuse(std::string(what) + " is not a number");
  return value;
}

}  // namespace

bool is_zero_block(std::string_view block) noexcept { return block.find_first_not_of('\0') == std::string_view::npos; }

TarHeader decode_tar_header(std::string_view block) {
  uint64_t sum = 0;
  for (size_t i = 0; i < kTarBlock; ++i) {
    const bool own = i >= kChecksum.offset && i < kChecksum.offset + kChecksum.size;  // counts as spaces
    sum += static_cast<unsigned char>(own ? ' ' : block[i]);
  }
  if (decode_octal(kChecksum.of(block), "header's checksum") != sum) refuse("not a tar header, or a damaged one");

  TarHeader header;
  header.name = until_nul(kName.of(block));
  // Only POSIX has a prefix; GNU keeps times there, and before both it was nothing.
  if (kMagic.of(block).substr(0, 6) == std::string_view("ustar\0", 6)) {
    const std::string prefix = until_nul(kPrefix.of(block));
    if (!prefix.empty()) header.name = prefix + '/' + header.name;
  }
  header.kind = kind_of(block[kType], header.name);
  header.target = until_nul(kTarget.of(block));
  header.size = decode_size(kSize.of(block));
  header.mode = static_cast<uint32_t>(decode_octal(kMode.of(block), "mode") & 07777);
  if (header.size != 0 && !has_data(header.kind)) refuse("'" + printable(header.name) + "': data where none belongs");
  return header;
}

PaxRecords decode_pax(std::string_view records) {
  PaxRecords out;
  while (!records.empty()) {
    // "LENGTH KEY=VALUE\n"; the length is that of all of it.
    const size_t space = records.find(' ');
    if (space == std::string_view::npos || space > 20) refuse("a pax record without a length");
    const uint64_t length = decode_decimal(records.substr(0, space), "a pax record's length");
    if (length > records.size() || length < space + 2 || records[length - 1] != '\n') refuse("a pax record with a wrong length");
    const std::string_view record = records.substr(space + 1, length - space - 2);
    records.remove_prefix(length);
    const size_t equals = record.find('=');
    if (equals == 0 || equals == std::string_view::npos) refuse("a pax record without a key");
    const std::string_view key = record.substr(0, equals), value = record.substr(equals + 1);
    if (key.starts_with("GNU.sparse.")) refuse("sparse files are not read");
    if (key != "path" && key != "linkpath" && key != "size") continue;
    if (value.empty() || value.find('\0') != std::string_view::npos)
      refuse("the pax record '" + std::string(key) + "' is empty or has a NUL");
    if (key == "path") set_once(out.path, std::string(value), key);
    if (key == "linkpath") set_once(out.target, std::string(value), key);
    if (key == "size") set_once(out.size, decode_decimal(value, "the pax record 'size'"), key);
  }
  return out;
}

std::string decode_gnu_name(std::string_view body) {
  const size_t end = body.find_last_not_of('\0');
  body = body.substr(0, end == std::string_view::npos ? 0 : end + 1);
  if (body.empty() || body.find('\0') != std::string_view::npos) refuse("a long name that is empty or has a NUL");
  return std::string(body);
}

uint64_t resolve_tar_size(uint64_t header, uint64_t records) {
  const bool is_stand_in = records >= kHeaderSizeEnd && (header == 0 || header == kHeaderSizeEnd - 1);
  if (header != records && !is_stand_in) refuse("the header and the pax records disagree about the size");
  return records;
}

}  // namespace svm::images
