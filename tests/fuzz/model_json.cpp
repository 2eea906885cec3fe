// Bytes to every request and answer: the first byte chooses the struct, the rest is its JSON. What is accepted must survive being written and
// read again, and its redacted form must be JSON.
#include <iterator>

#include "core/error.hpp"
#include "harness.hpp"
#include "model/fields.hpp"
#include "model/json.hpp"

namespace {

using namespace svm;

template <class T>
void round_trip(std::string_view body) {
  T value;
  try {
    value = model::decode<T>({}, body);
  } catch (const Error& error) {
    SVM_INVARIANT(error.code() == Code::invalid || error.code() == Code::unsupported);
    SVM_INVARIANT(error.message().find('\n') == std::string::npos);
    return;
  }
  // From here nothing may throw: an exception ends the run.
  const std::string text = model::encode(value);
  SVM_INVARIANT(model::encode(model::decode<T>({}, text)) == text);
  model::validate(value);
  model::json_parse(model::redact(value), "redacted");
}

using Run = void (*)(std::string_view);
#define SVM_RUN(T) &round_trip<model::T>,
constexpr Run kRuns[] = {SVM_MODEL_REQUESTS(SVM_RUN) SVM_MODEL_ANSWERS(SVM_RUN)};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  kRuns[data[0] % std::size(kRuns)](fuzz::text(data + 1, size - 1));
  return 0;
}
