#include "remote/client.hpp"

#include "remote/failure.hpp"
#include "remote/link.hpp"
#include "remote/stream.hpp"

namespace svm::remote {
namespace {

constexpr std::string_view kOperations = "/api/v1/operations/";

/// RFC 3986 section 2.3: everything but unreserved characters is encoded.
void append_encoded(std::string& out, std::string_view text) {
  constexpr char kHex[] = "0123456789ABCDEF";
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '~';
    if (plain) {
      out += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out += {'%', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
}

std::string target_of(std::string_view operation, std::string_view behind, const Pairs& pairs) {
  std::string target(kOperations);
  append_encoded(target, operation);
  target += behind;
  char before = '?';
  for (const auto& [name, value] : pairs) {
    target += std::exchange(before, '&');
    append_encoded(target, name);
    target += '=';
    append_encoded(target, value);
  }
  return target;
}

std::vector<std::string> headers_of(const Caller& caller) {
  std::vector<std::string> headers{"Accept: application/json"};
  if (!caller.api_key.empty()) headers.push_back("X-API-Key: " + caller.api_key);
  if (!caller.owner.empty()) headers.push_back("X-User-ID: " + caller.owner);
  if (!caller.request_id.empty()) headers.push_back("X-Request-ID: " + caller.request_id);
  return headers;
}

}  // namespace

class Client::Call {
 public:
  Call(Client& client, net::Interrupt& interrupt) : client_(client), interrupt_(interrupt) {
    const std::lock_guard lock(client_.mutex_);
    if (client_.stopped_) throw Error(Code::closed, kClosed);
    client_.calls_.insert(&interrupt_);
  }
  ~Call() {
    const std::lock_guard lock(client_.mutex_);
    client_.calls_.erase(&interrupt_);
  }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  /// Does what may be interrupted.
  template <class F>
  auto run(F act) try {
    return act();
  } catch (const Error& error) {
    if (error.code() == Code::cancelled && client_.stopped()) throw Error(Code::closed, kClosed);
    throw;
  }

 private:
  static constexpr const char* kClosed = "the instance is closed";
  Client& client_;
  net::Interrupt& interrupt_;
};

void Client::stop() noexcept {
  const std::lock_guard lock(mutex_);
  stopped_ = true;
  for (net::Interrupt* call : calls_) call->raise();
}

bool Client::stopped() const noexcept {
  const std::lock_guard lock(mutex_);
  return stopped_;
}

std::string Client::call(const Caller& caller, std::string_view operation, const Pairs& pairs, std::string_view body, net::Interrupt* interrupt) {
  net::HttpRequest request{"POST", target_of(operation, "", pairs), headers_of(caller), body};
  request.headers.push_back("Content-Type: application/json");
  net::Interrupt own;
  if (!interrupt) interrupt = &own;
  Call under_way(*this, *interrupt);
  net::HttpAnswer answer = under_way.run([&] { return http_.exchange(request, interrupt); });
  if (answer.status != 200) throw failure_of(answer.status, answer.body);
  if (answer.body.ends_with('\n')) answer.body.pop_back();
  return std::move(answer.body);
}

std::shared_ptr<channel::Stream> Client::call_stream(const Caller& caller, std::string_view operation, const Pairs& pairs, std::string_view body) {
  net::Interrupt interrupt;
  Call under_way(*this, interrupt);
  net::HttpAnswer refused;
  auto socket = under_way.run([&] { return http_.open_web_socket({"GET", target_of(operation, "/ws", pairs), headers_of(caller), {}}, refused, interrupt); });
  if (!socket) throw failure_of(refused.status, refused.body);
  const auto link = std::make_shared<Link>(reactor_, std::move(socket));
  std::string exec_id = under_way.run([&] { return link->open(body, interrupt); });
  auto stream = make_stream(link, std::move(exec_id));  // first: whatever fails from here on ends the connection
  link->watch();
  return stream;
}

}  // namespace svm::remote
