#include "output.hpp"

#include <poll.h>
#include <rapidjson/encodings.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>

namespace cli {
namespace {

/// Moves past one character; false when the bytes at hand are none.
bool decode_character(rapidjson::StringStream& in) {
  unsigned codepoint = 0;
  return rapidjson::UTF8<>::Decode(in, &codepoint);
}

/// 0 or an errno.
int write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n >= 0) {
      bytes.remove_prefix(static_cast<size_t>(n));
    } else if (errno == EAGAIN) {  // somebody who shares it made it non-blocking
      pollfd room{fd, POLLOUT, 0};
      ::poll(&room, 1, -1);
    } else if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

}  // namespace

void complain(std::string_view message) {
  std::string line = "stacyvm: ";
  line += message;
  line += '\n';
  (void)write_all(STDERR_FILENO, line);  // there is nobody left to tell
}

int print(std::string_view text) {
  const int error = write_all(STDOUT_FILENO, text);
  if (error == 0) return 0;
  if (error == EPIPE) return kExitBrokenPipe;
  complain(std::string("cannot write standard output: ") + std::strerror(error));
  return kExitOurs;
}

bool is_utf8(const std::string& bytes) {
  // The NUL behind the text ends a character that is cut off.
  rapidjson::StringStream in(bytes.c_str());
  while (in.Tell() < bytes.size())
    if (!decode_character(in)) return false;
  return true;
}

std::string base64(std::string_view bytes) {
  static constexpr char kAlphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t group = 0;
    const size_t count = std::min<size_t>(3, bytes.size() - i);
    for (size_t k = 0; k < 3; ++k) group = group << 8 | (k < count ? static_cast<uint8_t>(bytes[i + k]) : 0u);
    for (size_t k = 0; k < 4; ++k) out += k <= count ? kAlphabet[group >> (18 - 6 * k) & 63] : '=';
  }
  return out;
}

std::string json_string(std::string_view text) {
  std::string clean(text);
  if (!is_utf8(clean)) {
    clean.clear();
    for (const char c : text) {
      if (static_cast<uint8_t>(c) < 0x80)
        clean += c;
      else
        clean += "\xef\xbf\xbd";
    }
  }
  rapidjson::StringBuffer buffer;
  rapidjson::Writer<rapidjson::StringBuffer> writer(buffer);
  writer.String(clean.data(), static_cast<rapidjson::SizeType>(clean.size()));
  return {buffer.GetString(), buffer.GetSize()};
}

std::string json_bytes_member(std::string_view name, const std::string& bytes) {
  const std::string key(name);
  return is_utf8(bytes) ? json_string(key) + ':' + json_string(bytes) : json_string(key + "_b64") + ":\"" + base64(bytes) + '"';
}

}  // namespace cli
