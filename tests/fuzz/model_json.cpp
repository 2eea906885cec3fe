// Bytes to every request and answer: the first byte chooses the struct, the rest is its JSON. Path and query parameters may come before that: name and
// value of each, every one with a unit separator (which no JSON has) behind it. What is accepted must survive being written and
// read again, and its redacted form must be JSON.
#include <iterator>

#include "core/error.hpp"
#include "harness.hpp"
#include "model/fields.hpp"
#include "model/json.hpp"

namespace {

using namespace svm;

template <class T>
void round_trip(const model::Pairs& pairs, std::string_view body) {
  T value;
  try {
    value = model::decode<T>(pairs, body);
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

using Run = void (*)(const model::Pairs&, std::string_view);
#define SVM_RUN(T) &round_trip<model::T>,
constexpr Run kRuns[] = {SVM_MODEL_REQUESTS(SVM_RUN) SVM_MODEL_ANSWERS(SVM_RUN)};

model::Pairs take_pairs(std::string_view& in) {
  constexpr char kSeparator = '\x1f';
  model::Pairs pairs;
  for (;;) {
    const size_t name = in.find(kSeparator), value = name == in.npos ? name : in.find(kSeparator, name + 1);
    if (value == in.npos) return pairs;
    pairs.emplace_back(in.substr(0, name), in.substr(name + 1, value - name - 1));
    in.remove_prefix(value + 1);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  std::string_view body = fuzz::text(data + 1, size - 1);
  const model::Pairs pairs = take_pairs(body);
  kRuns[data[0] % std::size(kRuns)](pairs, body);
  return 0;
}
