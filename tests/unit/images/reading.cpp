#include "reading.hpp"

#include <doctest/doctest.h>

#include <cstdio>

#include "core/error.hpp"

namespace svm::images::test {
namespace {

std::string octal(uint32_t value) {
  char text[16];
  std::snprintf(text, sizeof text, "%o", value);
  return text;
}

}  // namespace

std::string_view Pieces::next() {
  const std::string_view piece = bytes_.substr(0, step_);
  bytes_.remove_prefix(piece.size());
  given_ += piece.size();
  return piece;
}

std::vector<std::string> list(std::string_view archive, const TarLimits& limits) {
  TarReader reader(open_source(archive), limits);
  std::vector<std::string> lines;
  TarEntry entry;
  while (reader.next(entry)) {
    std::string line;
    switch (entry.type) {
      case TarEntry::Type::directory: line = "d " + octal(entry.mode) + ' ' + entry.path; break;
      case TarEntry::Type::file: {
        line = "f " + octal(entry.mode) + ' ' + entry.path + ' ' + std::to_string(entry.size) + ':';
        for (std::string_view piece; reader.data(piece);) line += piece;
        break;
      }
      case TarEntry::Type::symlink: line = "l " + entry.path + " -> " + entry.target; break;
      case TarEntry::Type::hardlink: line = "h " + entry.path + " = " + entry.target; break;
    }
    lines.push_back(entry.repeated ? line + " again" : line);
  }
  return lines;
}

std::string refusal(std::string_view archive, const TarLimits& limits) {
  try {
    (void)list(archive, limits);
    return "";
  } catch (const Error& error) {
    CHECK((error.code() == Code::invalid || error.code() == Code::limit));
    return error.message();
  }
}

}  // namespace svm::images::test
