// What the library and its launcher decode of each other.
#include "harness.hpp"
#include "protocol/launch.hpp"

using namespace svm::protocol;

namespace {
std::string encode_message(const LaunchMessage& v) {
  std::string out;
  switch (v.type) {
    case LaunchType::init: encode(out, v.init); break;
    case LaunchType::online: encode(out, v.online); break;
    case LaunchType::spawn: encode(out, v.spawn); break;
    case LaunchType::refused: encode(out, v.refused); break;
    case LaunchType::kill: encode(out, v.kill); break;
    case LaunchType::exited: encode(out, v.exited); break;
    case LaunchType::claim: encode(out, v.claim); break;
    case LaunchType::claimed: encode(out, v.claimed); break;
    case LaunchType::adopted: encode(out, v.adopted); break;
    case LaunchType::expire: encode(out, v.expire); break;
  }
  return out;
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view in = svm::fuzz::text(data, size);
  LaunchMessage message;
  if (!decode(in, message)) return 0;
  const std::string bytes = encode_message(message);
  SVM_INVARIANT(bytes == in);
  LaunchMessage again;
  SVM_INVARIANT(decode(bytes, again));
  SVM_INVARIANT(encode_message(again) == bytes);
  return 0;
}
