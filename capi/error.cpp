#include "error.hpp"

#include <cstdlib>
#include <cstring>
#include <new>

#include "model/json.hpp"
#include "model/utf8.hpp"

/// One allocation: the struct, then the message and the details, each with its NUL.
struct stacyvm_error {
  int32_t code;
  const char* name;
  const char* message;
  const char* details;
};

namespace svm::capi {
namespace {

constinit stacyvm_error g_out_of_memory{STACYVM_E_LIMIT, "RESOURCE_LIMIT", "out of memory", "{\"limit\":\"memory\"}"};

/// What the caller sees is UTF-8 on one line, and ends at its NUL.
std::string one_line(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const size_t n = model::utf8_character(text);
    if (n == 0) {
      out += "\xef\xbf\xbd";
    } else if (static_cast<unsigned char>(text[0]) < 0x20 || text[0] == 0x7f) {
      out += ' ';
    } else {
      out += text.substr(0, n);
    }
    text.remove_prefix(n == 0 ? 1 : n);
  }
  return out;
}

/// These facts are numbers where they look like one; every other fact keeps its type whatever its value looks like.
bool is_number(std::string_view key, std::string_view value) {
  if (key != "errno" && key != "limit") return false;
  if (value.empty() || value.size() > 15 || (value[0] == '0' && value.size() > 1)) return false;
  return value.find_first_not_of("0123456789") == std::string_view::npos;
}

}  // namespace

std::string details_json(const Error::Facts& facts) {
  std::string out = "{";
  for (const auto& [key, value] : facts) {
    if (out.size() > 1) out += ',';
    model::json_append_string(out, key);
    out += ':';
    if (is_number(key, value)) {
      out += value;
    } else {
      model::json_append_string(out, value);
    }
  }
  return out += '}';
}

stacyvm_error* out_of_memory_error() noexcept { return &g_out_of_memory; }

stacyvm_error* make_error(const Error& error) noexcept try {
  const std::string message = one_line(error.message());
  const std::string details = details_json(error.facts());
  auto* block = static_cast<char*>(std::malloc(sizeof(stacyvm_error) + message.size() + details.size() + 2));
  if (!block) return out_of_memory_error();
  char* message_at = block + sizeof(stacyvm_error);
  char* details_at = message_at + message.size() + 1;
  std::memcpy(message_at, message.c_str(), message.size() + 1);
  std::memcpy(details_at, details.c_str(), details.size() + 1);
  return new (block) stacyvm_error{static_cast<int32_t>(error.code()), code_name(error.code()).data(), message_at, details_at};
} catch (...) {  // only std::bad_alloc can come
  return out_of_memory_error();
}

Error invalid(std::string field, std::string_view problem) {
  std::string message = field + ": " + std::string(problem);
  return Error(Code::invalid, std::move(message)).with("field", std::move(field));
}

void* copy_out(std::string_view bytes) {
  auto* copy = static_cast<char*>(std::malloc(bytes.size() + 1));
  if (!copy) throw std::bad_alloc();
  if (!bytes.empty()) std::memcpy(copy, bytes.data(), bytes.size());
  copy[bytes.size()] = '\0';
  return copy;
}

}  // namespace svm::capi

int32_t stacyvm_error_code(const stacyvm_error* e) { return e ? e->code : STACYVM_OK; }
const char* stacyvm_error_name(const stacyvm_error* e) { return e ? e->name : "OK"; }
const char* stacyvm_error_message(const stacyvm_error* e) { return e ? e->message : ""; }
const char* stacyvm_error_details(const stacyvm_error* e) { return e ? e->details : "{}"; }
int32_t stacyvm_error_http_status(const stacyvm_error* e) { return svm::code_http_status(static_cast<svm::Code>(e ? e->code : STACYVM_OK)); }
void stacyvm_error_free(stacyvm_error* e) {
  if (e != svm::capi::out_of_memory_error()) std::free(e);
}
