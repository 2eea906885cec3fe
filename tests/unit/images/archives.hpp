// Archives made by hand, byte by byte.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace svm::images::test {

/// One header block; what is set after construction is written as it is, and the checksum fits in the end.
class Header {
 public:
  explicit Header(std::string_view name, char type = '0', uint64_t size = 0, uint32_t mode = 0644);
  Header& target(std::string_view text) { return put(157, text); }
  Header& prefix(std::string_view text) { return put(345, text); }
  Header& size(uint64_t size);
  Header& put(size_t offset, std::string_view bytes);
  std::string bytes() const;

 private:
  std::string block_;
};

/// Padded with zeros to whole blocks.
std::string padded(std::string_view body);
/// A header with its body.
std::string entry(std::string_view name, std::string_view body, uint32_t mode = 0644);
std::string directory(std::string_view name, uint32_t mode = 0755);
std::string soft_link(std::string_view name, std::string_view target);
std::string hard_link(std::string_view name, std::string_view target);
/// One pax record with its length, and a pax header that holds such records.
std::string record(std::string_view key, std::string_view value);
std::string pax(std::string_view records, char type = 'x');
/// GNU's long name ('L') or long target ('K').
std::string gnu(char type, std::string_view text);
/// Two blocks of zeros.
std::string end_mark();

}  // namespace svm::images::test
