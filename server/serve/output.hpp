// What a command writes and how it ends, as members of JSON: shared by the forms that tell it.
#pragma once
#include <stacyvm/stacyvm.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace serve {

/// "exit_code":0,"signal":0,"reason":"exited",... of a command that has ended; "" otherwise.
std::string end_members(stacyvm::Stream& stream);
/// "code":"NOT_FOUND","message":"..."
std::string error_members(const stacyvm::Error& error);

/// Puts characters together that were cut apart at the end of a chunk.
class Halves {
 public:
  struct Piece {
    std::string_view stream;  // "stdout", "stderr"
    std::string bytes;
  };
  /// A chunk STDOUT or STDERR, without the half of a character at its end, which comes with the next one.
  Piece whole(const stacyvm_chunk& chunk);
  /// What is left at the output's end.
  std::vector<Piece> rest();

 private:
  std::string kept_[2];  // of stdout, of stderr
};

}  // namespace serve
