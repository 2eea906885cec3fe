// The head of a request as bytes, before anybody else reads it. Pure; fuzzed.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace http {

inline constexpr size_t kMaxHeadBytes = 64u << 10;  // request line and fields together: 431 beyond
inline constexpr size_t kMaxTargetBytes = 8'000;    // 414 beyond
inline constexpr size_t kMaxFieldBytes = 8'000;     // one field line: 431 beyond
inline constexpr size_t kMaxFields = 100;           // 431 beyond

/// How the body's end is known (RFC 9112 section 6).
enum class Framing : uint8_t { none, length, chunked };

struct Head {
  Framing framing = Framing::none;
  uint64_t length = 0;  // Framing::length: bytes of body
  bool expects_continue = false;  // "Expect: 100-continue"
};

/// Why a request is not served, and that nothing after it can be read.
struct Refusal {
  int status;
  const char* why;  // static
};

/// Where the head that begins `bytes` ends (behind its empty line); 0: not yet. A line end is CR LF and nothing else.
size_t find_head_end(std::string_view bytes) noexcept;

/// Checks a whole head. Stricter than RFC 9112 asks where two readers may understand a message differently (request smuggling): no bare CR or LF, no
/// folded line, no blank before a colon, one Content-Length, Transfer-Encoding only "chunked" and never beside it, one Host, and no body where a
/// method has no use for one.
std::optional<Refusal> check_head(std::string_view bytes, Head& out) noexcept;

/// One field as it came, without the blanks around its value.
struct Field {
  std::string_view name, value;
};
/// The fields of a head that check_head() let in.
std::vector<Field> fields_of(std::string_view head);

/// Whether a word is this one, in letters of whichever case (ASCII).
bool is_named(std::string_view word, std::string_view lower_case) noexcept;
/// Without the blanks and tabs around it.
std::string_view trimmed(std::string_view text) noexcept;

/// Takes the chunked coding off a body (RFC 9112 section 7.1), whatever pieces it comes in. Extensions and trailers are read over, within limits.
class ChunkDecoder {
 public:
  /// Appends what is content to `out`. How many bytes belong to this body: less than all once it has ended.
  size_t feed(std::string_view bytes, std::string& out);
  bool ended() const noexcept { return state_ == State::ended; }
  /// Nothing of it may be used.
  bool malformed() const noexcept { return state_ == State::malformed; }

 private:
  static constexpr size_t kMaxLine = 4'096;  // a size with its extensions, or all trailers together

  enum class State : uint8_t { size, extension, size_lf, content, content_cr, content_lf, trailer_start, trailer, trailer_lf, last_lf, ended, malformed };
  void step(char byte) noexcept;

  State state_ = State::size;
  uint64_t left_ = 0;
  unsigned digits_ = 0;
  size_t line_ = 0;
};

/// Percent-decoding (RFC 3986 section 2.1). False: a '%' without two hexadecimal digits, or a NUL.
bool percent_decode(std::string_view text, bool plus_is_blank, std::string& out);

}  // namespace http
