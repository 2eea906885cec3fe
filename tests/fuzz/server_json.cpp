// Frames of a client, and the text that answers are made of: what is read survives being written and read again.
#include "serve/json.hpp"

#include "harness.hpp"
#include "text.hpp"

namespace {

std::string written(const std::map<std::string, std::string>& members) {
  std::string out = "{";
  for (const auto& [name, value] : members) out += (out.size() > 1 ? "," : "") + text::json_string(name) + ':' + text::json_string(value);
  return out + '}';
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string in(svm::fuzz::text(data, size));
  const auto members = serve::frame_members(in);
  if (members) SVM_INVARIANT(serve::frame_members(written(*members)) == members);
  if (serve::asks_for_stream(in)) SVM_INVARIANT(members && members->contains("stream"));

  const std::string quoted = text::json_string(in);
  SVM_INVARIANT(text::is_utf8(quoted) && quoted.find('\n') == quoted.npos);
  const auto again = serve::frame_members("{\"a\":" + quoted + '}');
  SVM_INVARIANT(again && (again->at("a") == in) == text::is_utf8(in));
  const size_t half = text::utf8_incomplete(in);
  SVM_INVARIANT(half <= 3 && half <= in.size());
  if (half > 0) SVM_INVARIANT(!text::is_utf8(in));
  SVM_INVARIANT(text::from_base64(text::base64(in)) == in);
  if (const auto bytes = text::from_base64(in)) {
    std::string padded = in;
    while (padded.size() % 4 != 0) padded += '=';
    SVM_INVARIANT(text::base64(*bytes) == padded);
  }
  return 0;
}
