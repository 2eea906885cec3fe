// "SANDBOX:PATH", "-" and PATH, as cp has them. Pure.
#pragma once
#include <string>
#include <string_view>

namespace cli {

/// One side of a copy.
struct CopySide {
  std::string sandbox;        // empty: on this machine
  std::string path;           // inside: absolute
  bool is_stream = false;     // "-": standard input or output
  bool contents = false;      // ends with "/." or is nothing but dots: what is in the directory, and not the directory
  bool is_directory = false;  // ends with "/": so it must be one

  bool inside() const { return !sandbox.empty(); }
  /// As it was given, for messages.
  std::string shown() const { return is_stream ? "-" : inside() ? sandbox + ':' + path : path; }
  /// The last part of the path, under which it appears in a directory; empty where only contents can.
  std::string_view leaf() const;
};

/// Before the first ":" is a sandbox, unless there is a "/" or it begins with ".". A path inside that is not absolute begins in /workspace, and an
/// empty one is that. Throws std::invalid_argument with a sentence for the user.
CopySide parse_side(const std::string& text);

/// "directory/name", with one slash.
std::string below(std::string_view directory, std::string_view name);

}  // namespace cli
