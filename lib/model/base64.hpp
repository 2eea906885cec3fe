// Base64 as RFC 4648 section 4 has it: standard alphabet, padded.
#pragma once
#include <string>
#include <string_view>

namespace svm::model {

std::string base64_encode(std::string_view bytes);
/// False (out unspecified) for anything that base64_encode cannot have made: other characters, white space, missing padding, bits
/// set beyond the end. Every byte string has exactly one text.
bool base64_decode(std::string_view text, std::string& out);

}  // namespace svm::model
