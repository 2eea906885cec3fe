#include "archives.hpp"

#include <cstdio>
#include <stdexcept>

#include "images/tar_header.hpp"

namespace svm::images::test {
namespace {

std::string octal(uint64_t value, int digits) {
  char text[32];
  std::snprintf(text, sizeof text, "%0*llo", digits, static_cast<unsigned long long>(value));
  return text;
}

}  // namespace

Header::Header(std::string_view name, char type, uint64_t size, uint32_t mode) : block_(kTarBlock, '\0') {
  put(0, name).put(100, octal(mode, 7)).put(108, octal(0, 7)).put(116, octal(0, 7)).put(136, octal(1, 11)).size(size);
  put(156, {&type, 1}).put(257, std::string_view("ustar\00000", 8));
}

Header& Header::size(uint64_t size) { return put(124, octal(size, 11)); }

Header& Header::put(size_t offset, std::string_view bytes) {
  block_.replace(offset, bytes.size(), bytes);
  if (block_.size() != kTarBlock) throw std::logic_error("beyond the header");
  return *this;
}

std::string Header::bytes() const {
  std::string block = block_;
  block.replace(148, 8, "        ");
  uint64_t sum = 0;
  for (const char c : block) sum += static_cast<unsigned char>(c);
  block.replace(148, 7, octal(sum, 6) + '\0');
  return block;
}

std::string padded(std::string_view body) {
  std::string out(body);
  out.resize((out.size() + kTarBlock - 1) / kTarBlock * kTarBlock);
  return out;
}

std::string entry(std::string_view name, std::string_view body, uint32_t mode) {
  return Header(name, '0', body.size(), mode).bytes() + padded(body);
}
std::string directory(std::string_view name, uint32_t mode) { return Header(name, '5', 0, mode).bytes(); }
std::string soft_link(std::string_view name, std::string_view target) { return Header(name, '2', 0, 0777).target(target).bytes(); }
std::string hard_link(std::string_view name, std::string_view target) { return Header(name, '1').target(target).bytes(); }

std::string record(std::string_view key, std::string_view value) {
  const size_t rest = key.size() + value.size() + 3;  // space, equals, newline
  size_t length = rest + 1;
  while (length != rest + std::to_string(length).size()) length = rest + std::to_string(length).size();
  return std::to_string(length) + ' ' + std::string(key) + '=' + std::string(value) + '\n';
}

std::string pax(std::string_view records, char type) { return Header("pax", type, records.size()).bytes() + padded(records); }

std::string gnu(char type, std::string_view text) {
  const std::string body = std::string(text) + '\0';
  return Header("././@LongLink", type, body.size()).bytes() + padded(body);
}

std::string end_mark() { return std::string(2 * kTarBlock, '\0'); }

}  // namespace svm::images::test
