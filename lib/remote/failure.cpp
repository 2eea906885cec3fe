#include "remote/failure.hpp"

#include <string>

#include "remote/members.hpp"

namespace svm::remote {
namespace {

constexpr size_t kMaxFacts = 16, kMaxFactBytes = 1024, kMaxMessageBytes = 4096;

Code code_of(std::string_view name) {
  for (const Code code : {Code::invalid, Code::unauthorized, Code::forbidden, Code::not_found, Code::conflict, Code::limit, Code::timeout, Code::cancelled,
                          Code::unavailable, Code::unsupported, Code::closed, Code::io, Code::file_not_found})
    if (code_name(code) == name) return code;
  return Code::internal;
}

}  // namespace

Error failure_of(const model::Json& json) {
  std::string message = text_of(json, "message").substr(0, kMaxMessageBytes);
  Error error(code_of(text_of(json, "code")), message.empty() ? "the server failed, and does not say how" : std::move(message));
  const model::Json* details = member(json, "details");
  if (details && details->type == model::Json::Type::object) {
    for (size_t i = 0; i < details->items.size() && i < kMaxFacts; ++i) {
      const model::Json& fact = details->items[i];
      if (fact.type == model::Json::Type::string || fact.type == model::Json::Type::number)
        (void)std::move(error).with(details->names[i].substr(0, kMaxFactBytes), fact.text.substr(0, kMaxFactBytes));
    }
  }
  // Of a fault of the server's the log there says more, under this name.
  const std::string request_id = text_of(json, "request_id").substr(0, kMaxMessageBytes);
  if (request_id.empty() || error.code() != Code::internal) return error;
  return std::move(error).with("request_id", request_id);
}

Error failure_of(int status, std::string_view body) {
  try {
    const model::Json json = model::json_parse(body, "body");
    if (json.type == model::Json::Type::object && !text_of(json, "code").empty()) return failure_of(json);
  } catch (const Error&) {  // said below
  }
  return Error(status == 401 ? Code::unauthorized : Code::unavailable, "the server answered with status " + std::to_string(status) + ", and not as a stacyvm server does");
}

}  // namespace svm::remote
