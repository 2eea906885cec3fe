#include "model/base64.hpp"

#include <doctest/doctest.h>

using svm::model::base64_decode;
using svm::model::base64_encode;

TEST_CASE("base64: the vectors of RFC 4648 section 10, both ways") {
  constexpr std::pair<std::string_view, std::string_view> kVectors[] = {
      {"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}};
  for (const auto& [bytes, text] : kVectors) {
    CHECK(base64_encode(bytes) == text);
    std::string back = "x";
    CHECK(base64_decode(text, back));
    CHECK(back == bytes);
  }
}

TEST_CASE("base64: every byte value survives at every alignment") {
  for (size_t shift = 0; shift < 3; ++shift) {
    std::string bytes(shift, '\xff');
    for (int i = 0; i < 256; ++i) bytes += static_cast<char>(i);
    std::string back;
    CHECK(base64_decode(base64_encode(bytes), back));
    CHECK(back == bytes);
  }
}

TEST_CASE("base64: what the encoder cannot have made is refused") {
  for (const std::string_view text : {"Zg", "Zg=", "Z===", "====", "=", "Zg==Zg==", "Z=g=", "Zm9v\n", " Zm9v", "Zm9v====", "Zm-v", "Zm_v", "Zh==", "Zm9=", "Zm\x80v",
                                      "Zm8=A", "A"}) {
    std::string out;
    CHECK_MESSAGE(!base64_decode(text, out), std::string(text));
  }
  std::string out;
  CHECK_FALSE(base64_decode(std::string_view("Zm\0v", 4), out));
}
