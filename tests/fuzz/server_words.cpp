// What a server says on a stream, and how it says no. The first byte says which kind of message it is.
#include "core/error.hpp"
#include "harness.hpp"
#include "remote/failure.hpp"
#include "remote/words.hpp"

using namespace svm;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view in = fuzz::text(data + 1, size - 1);
  try {
    if (const auto word = data[0] % 2 == 0 ? remote::parse_text(in) : remote::parse_binary(in)) {
      if (word->kind == remote::Word::Kind::end && word->result.code == Code::ok && !word->result.body.empty()) {
        protocol::ExecResult exec;
        SVM_INVARIANT(protocol::decode(word->result.body, exec));
      }
      SVM_INVARIANT(word->result.code == Code::ok || code_is_known(static_cast<int32_t>(word->result.code)));
      SVM_INVARIANT(word->result.message.size() <= 512);
      if (word->piece.kind == protocol::DataKind::gap) SVM_INVARIANT(word->piece.data.size() == 8);
    }
    (void)remote::refusal_of(in);
  } catch (const Error& error) {
    SVM_INVARIANT(error.code() == Code::io);
  }
  const Error failure = remote::failure_of(500, in);
  SVM_INVARIANT(code_is_known(static_cast<int32_t>(failure.code())) && failure.code() != Code::ok && failure.code() != Code::again && failure.code() != Code::end);
  SVM_INVARIANT(failure.facts().size() <= 17);
  return 0;
}
