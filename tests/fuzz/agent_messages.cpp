// What the agent decodes: Hello (first byte 0) and Request (any other).
#include "harness.hpp"
#include "protocol/message.hpp"

using namespace svm::protocol;

namespace {
/// The member that `op` names, encoded.
std::string encode_request(const Request& v) {
  std::string out;
  switch (v.op) {
    case Op::exec: encode(out, v.exec); break;
    case Op::read: encode(out, v.read); break;
    case Op::write: encode(out, v.write); break;
    case Op::stat: encode(out, v.stat); break;
    case Op::list: encode(out, v.list); break;
    case Op::glob: encode(out, v.glob); break;
    case Op::search: encode(out, v.search); break;
    case Op::replace: encode(out, v.replace); break;
    case Op::move: encode(out, v.move); break;
    case Op::copy: encode(out, v.copy); break;
    case Op::chmod: encode(out, v.chmod); break;
    case Op::mkdir: encode(out, v.mkdir); break;
    case Op::remove: encode(out, v.remove); break;
    case Op::symlink: encode(out, v.symlink); break;
    case Op::link: encode(out, v.link); break;
    case Op::watch: encode(out, v.watch); break;
    case Op::pack: encode(out, v.pack); break;
    case Op::unpack: encode(out, v.unpack); break;
    case Op::dial: encode(out, v.dial); break;
    case Op::listening: encode(out, v.listening); break;
    case Op::attach: encode(out, v.attach); break;
    case Op::process_list: encode(out, v.process_list); break;
    case Op::process_signal: encode(out, v.process_signal); break;
    case Op::console: encode(out, v.console); break;
    case Op::stats: encode(out, v.stats); break;
  }
  return out;
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view in = svm::fuzz::text(data + 1, size - 1);
  if (data[0] == 0) {
    svm::fuzz::check_round_trip<Hello>(in);
    return 0;
  }
  Request request;
  if (!decode(in, request)) return 0;
  const std::string bytes = encode_request(request);
  SVM_INVARIANT(bytes == in);
  Request again;
  SVM_INVARIANT(decode(bytes, again));
  SVM_INVARIANT(encode_request(again) == bytes);
  return 0;
}
