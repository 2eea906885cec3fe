#include "net/http_client.hpp"

#include <poll.h>

#include <algorithm>
#include <new>

#include "core/clock.hpp"
#include "core/error.hpp"
#include "core/id.hpp"
#include "model/base64.hpp"
#include "net/line.hpp"
#include "net/web_socket.hpp"
#include "net/web_socket_handshake.hpp"

namespace svm::net {
namespace {

constexpr long kKeepAliveSeconds = 30;   // after which a silent connection is asked whether it is still there
constexpr long kIdleSeconds = 50;        // a connection that was idle for longer is not used again: a server gives up after 65
constexpr int kPollMs = 1000;
constexpr int64_t kSliceMs = 100;        // how late an interrupt is seen where only the socket wakes us
constexpr int64_t kHandshakeMs = 30'000;

class Headers {
 public:
  explicit Headers(const Curl& curl) : curl_(curl) {}
  ~Headers() { curl_.slist_free_all(list_); }
  void add(const std::string& line) {
    curl_slist* longer = curl_.slist_append(list_, line.c_str());
    if (!longer) throw std::bad_alloc();
    list_ = longer;
  }
  curl_slist* get() const noexcept { return list_; }

 private:
  const Curl& curl_;
  curl_slist* list_ = nullptr;
};

struct Body {
  std::string bytes;
  bool too_large = false, no_memory = false;
};

size_t take(char* data, size_t, size_t size, void* to) {
  Body& body = *static_cast<Body*>(to);
  if (size > kMaxAnswerBytes - body.bytes.size()) {
    body.too_large = true;
    return 0;
  }
  try {
    body.bytes.append(data, size);
  } catch (const std::bad_alloc&) {
    body.no_memory = true;
    return 0;
  }
  return size;
}

}  // namespace

void Interrupt::raise() noexcept {
  raised_ = true;
  const std::lock_guard lock(mutex_);
  if (waiting_) curl().multi_wakeup(waiting_);
}

void wait_for(int fd, short events, int64_t end_ms, const Interrupt& interrupt) {
  for (;;) {
    const int64_t left = end_ms - system_clock().monotonic_ms();
    if (left <= 0) throw Error(Code::timeout, "the server does not answer");
    pollfd wait{fd, events, 0};
    if (::poll(&wait, 1, static_cast<int>(std::min<int64_t>(left, kSliceMs))) > 0) return;
    if (interrupt.raised()) throw Error(Code::cancelled, "the call was cancelled");
  }
}

Line::Line() : curl_(curl()), multi_(curl_.multi_init()), easy_(curl_.easy_init()) {
  if (multi_ && easy_) return;
  if (easy_) curl_.easy_cleanup(easy_);
  if (multi_) curl_.multi_cleanup(multi_);
  throw std::bad_alloc();
}

Line::~Line() {
  const SignalsHeld held;  // the end of TLS is written
  if (added_) curl_.multi_remove_handle(multi_, easy_);
  curl_.easy_cleanup(easy_);
  curl_.multi_cleanup(multi_);
}

void Line::refuse_option() { throw Error(Code::unsupported, "this host's libcurl does not take an option that is needed"); }

void Line::prepare(const ServerAddress& address, const HttpOptions& options, const std::string& target) {
  curl_.easy_reset(easy_);
  set(CURLOPT_URL, (address.base + target).c_str());  // copied
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_ERRORBUFFER, static_cast<char*>(why_));
  set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(options.connect_timeout_ms));
  set(CURLOPT_TCP_KEEPALIVE, 1L);
  set(CURLOPT_TCP_KEEPIDLE, kKeepAliveSeconds);
  set(CURLOPT_TCP_KEEPINTVL, kKeepAliveSeconds / 3);
  set(CURLOPT_MAXAGE_CONN, kIdleSeconds);
  set(CURLOPT_PATH_AS_IS, 1L);
  set(CURLOPT_USERAGENT, options.agent.c_str());
  if (!options.ca_file.empty()) {
    set(CURLOPT_CAINFO, options.ca_file.c_str());
    set(CURLOPT_CAPATH, static_cast<const char*>(nullptr));  // these, and no others
  }
  if (address.loopback) set(CURLOPT_PROXY, "");
  why_[0] = '\0';
}

void Line::perform(Interrupt* interrupt) {
  if (interrupt) {
    const std::lock_guard lock(interrupt->mutex_);
    interrupt->waiting_ = multi_;
  }
  struct Waiting {
    Interrupt* interrupt;
    ~Waiting() {
      if (!interrupt) return;
      const std::lock_guard lock(interrupt->mutex_);
      interrupt->waiting_ = nullptr;
    }
  } const waiting{interrupt};
  {
    const SignalsHeld held;
    if (curl_.multi_add_handle(multi_, easy_) != CURLM_OK) throw std::bad_alloc();
    added_ = true;
  }
  for (int running = 1;;) {
    if (interrupt && interrupt->raised()) throw Error(Code::cancelled, "the call was cancelled");
    {
      const SignalsHeld held;
      if (curl_.multi_perform(multi_, &running) != CURLM_OK) throw std::bad_alloc();
    }
    if (running == 0) break;
    curl_.multi_poll(multi_, nullptr, 0, kPollMs, nullptr);
  }
  int left = 0;
  CURLcode code = CURLE_OK;
  while (const CURLMsg* message = curl_.multi_info_read(multi_, &left))
    if (message->msg == CURLMSG_DONE) code = message->data.result;
  if (code != CURLE_OK) fail(code);
}

void Line::settle() noexcept {
  const SignalsHeld held;
  curl_.multi_remove_handle(multi_, easy_);  // the connection stays in multi_
  added_ = false;
}

void Line::fail(CURLcode code) const {
  const std::string why = why_[0] != '\0' ? why_ : curl_.easy_strerror(code);
  switch (code) {
    case CURLE_OUT_OF_MEMORY: throw std::bad_alloc();
    case CURLE_OPERATION_TIMEDOUT: throw Error(Code::timeout, "no connection to the server: " + why).with("step", "connect");
    case CURLE_URL_MALFORMAT: throw Error(Code::invalid, "the server's address: " + why).with("field", "state_dir");
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR: throw Error(Code::unavailable, "the server is not who it should be, or speaks no TLS: " + why).with("step", "tls");
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE: throw Error(Code::unavailable, "the connection to the server broke, and whether the call was done is not known: " + why);
    default: throw Error(Code::unavailable, "the server cannot be reached: " + why).with("step", "connect");
  }
}

HttpClient::HttpClient(ServerAddress address, HttpOptions options) : address_(std::move(address)), options_(std::move(options)) { curl(); }
HttpClient::~HttpClient() = default;

std::unique_ptr<Line> HttpClient::take_line() {
  {
    const std::lock_guard lock(mutex_);
    if (!idle_.empty()) {
      auto line = std::move(idle_.back());
      idle_.pop_back();
      return line;
    }
  }
  return std::make_unique<Line>();
}

void HttpClient::give_back(std::unique_ptr<Line> line) {
  const std::lock_guard lock(mutex_);
  if (idle_.size() < kMaxIdle) idle_.push_back(std::move(line));
}

HttpAnswer HttpClient::exchange(const HttpRequest& request, Interrupt* interrupt) {
  std::unique_ptr<Line> line = take_line();
  line->prepare(address_, options_, request.target);
  Headers headers(line->library());
  for (const std::string& header : request.headers) headers.add(header);
  headers.add("Expect:");  // waiting to be told to go on would cost a round trip
  Body body;
  line->set(CURLOPT_HTTPHEADER, headers.get());
  line->set(CURLOPT_CUSTOMREQUEST, request.method.c_str());
  line->set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
  line->set(CURLOPT_POSTFIELDS, request.body.empty() ? "" : request.body.data());  // not copied
  line->set(CURLOPT_WRITEFUNCTION, &take);
  line->set(CURLOPT_WRITEDATA, static_cast<void*>(&body));
  try {
    line->perform(interrupt);
  } catch (const Error&) {
    if (body.too_large) throw Error(Code::io, "the server's answer is larger than 512 MiB").with("limit", static_cast<long long>(kMaxAnswerBytes));
    if (body.no_memory) throw std::bad_alloc();
    throw;
  }
  long status = 0;
  line->library().easy_getinfo(line->easy(), CURLINFO_RESPONSE_CODE, &status);
  line->settle();
  give_back(std::move(line));
  return {static_cast<int>(status), std::move(body.bytes)};
}

std::unique_ptr<WebSocket> HttpClient::open_web_socket(const HttpRequest& request, HttpAnswer& refused, Interrupt& interrupt) {
  auto line = std::make_unique<Line>();
  line->prepare(address_, options_, "");
  line->set(CURLOPT_CONNECT_ONLY, 1L);
  line->set(CURLOPT_HTTPPROXYTUNNEL, 1L);
  line->perform(&interrupt);
  auto socket = std::make_unique<WebSocket>(std::move(line));

  char bytes[16];
  random_bytes(bytes, sizeof bytes);
  const std::string nonce = model::base64_encode({bytes, sizeof bytes});
  const size_t authority = address_.base.find("://") + 3, slash = std::min(address_.base.find('/', authority), address_.base.size());
  std::vector<std::string> headers = request.headers;
  headers.push_back("User-Agent: " + options_.agent);
  std::string out = upgrade_request(address_.base.substr(slash) + request.target, address_.base.substr(authority, slash - authority), nonce, headers);
  const int64_t end = system_clock().monotonic_ms() + kHandshakeMs;
  const auto wait = [&](short events) { wait_for(socket->fd(), events, end, interrupt); };
  while (!out.empty()) {
    const size_t sent = socket->send(out);
    out.erase(0, sent);
    if (sent == 0) wait(POLLOUT);
  }
  std::string in;
  for (;;) {
    const auto received = socket->receive(in);
    if (const auto answer = parse_upgrade_answer(in, nonce)) {
      in.erase(0, answer->head);
      if (answer->accepted) {
        socket->begin(in);
        return socket;
      }
      refused.status = answer->status;
      const size_t size = std::min(answer->body.value_or(kMaxUpgradeHead), kMaxUpgradeHead);
      for (auto more = received; in.size() < size && more != WebSocket::Received::end;) {
        more = socket->receive(in);
        if (more == WebSocket::Received::nothing) wait(POLLIN);
      }
      in.resize(std::min(in.size(), size));
      refused.body = std::move(in);
      return nullptr;
    }
    if (received == WebSocket::Received::end) throw Error(Code::unavailable, "the server has ended the connection");
    if (received == WebSocket::Received::nothing) wait(POLLIN);
  }
}

}  // namespace svm::net
