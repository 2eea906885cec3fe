// A server's bytes before anything is known of it: the handshake, then frames in whatever pieces they come; and the addresses that people give.
#include <algorithm>
#include <vector>

#include "core/error.hpp"
#include "harness.hpp"
#include "net/server_address.hpp"
#include "net/web_socket_frames.hpp"
#include "net/web_socket_handshake.hpp"

using namespace svm::net;

namespace {

/// What comes of the bytes, given so many at a time: messages, and then whether the protocol was broken.
std::vector<std::string> read(std::string_view in, size_t piece) {
  FrameReader reader;
  std::vector<std::string> messages;
  Message message;
  try {
    for (size_t at = 0; at < in.size(); at += piece) {
      reader.feed(in.substr(at, piece));
      while (reader.next(message)) messages.push_back(static_cast<char>(message.kind) + message.payload);
    }
  } catch (const svm::Error& error) {
    SVM_INVARIANT(error.code() == svm::Code::io);
    messages.push_back("broken");
  }
  return messages;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view in = svm::fuzz::text(data, size);
  const auto whole = read(in, std::max<size_t>(size, 1));
  SVM_INVARIANT(read(in, 1) == whole && read(in, 3) == whole);

  std::string frame;
  append_frame(frame, Opcode::binary, in, 0x01020304);
  SVM_INVARIANT(frame.size() >= in.size() + 6 && frame.size() <= in.size() + 14);

  constexpr std::string_view kNonce = "dGhlIHNhbXBsZSBub25jZQ==";
  try {
    if (const auto answer = parse_upgrade_answer(in, kNonce)) {
      SVM_INVARIANT(answer->head <= in.size() && answer->head <= kMaxUpgradeHead && answer->status >= 0 && answer->status <= 999);
      SVM_INVARIANT(!answer->accepted || answer->status == 101);
    }
  } catch (const svm::Error& error) {
    SVM_INVARIANT(error.code() == svm::Code::io);
  }

  if (!has_scheme(in)) return 0;
  try {
    const ServerAddress address = parse_server_address(in, "address");
    SVM_INVARIANT(!address.host.empty() && !address.base.ends_with('/') && has_scheme(address.base));
    SVM_INVARIANT(parse_server_address(address.base, "address").base == address.base);
  } catch (const svm::Error& error) {
    SVM_INVARIANT(error.code() == svm::Code::invalid || error.code() == svm::Code::unsupported);
  }
  return 0;
}
