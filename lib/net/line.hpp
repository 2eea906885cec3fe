// One connection of libcurl's, used for one call after another. Internal to lib/net.
#pragma once
#include <string>

#include "net/curl.hpp"
#include "net/http_client.hpp"

namespace svm::net {

class Line {
 public:
  Line();
  ~Line();
  Line(const Line&) = delete;
  Line& operator=(const Line&) = delete;

  /// For the next call.
  void prepare(const ServerAddress& address, const HttpOptions& options, const std::string& target);
  template <class T>
  void set(CURLoption option, T value) {
    if (curl_.easy_setopt(easy_, option, value) != CURLE_OK) refuse_option();
  }
  /// Until it is over. Throws what HttpClient::exchange throws; the line is then of no more use.
  void perform(Interrupt* interrupt);
  /// The call is over, and nothing of it is needed any more: what the next one must not find is forgotten.
  void settle() noexcept;
  CURL* easy() const noexcept { return easy_; }
  const Curl& library() const noexcept { return curl_; }

 private:
  [[noreturn]] static void refuse_option();
  [[noreturn]] void fail(CURLcode code) const;

  const Curl& curl_;
  CURLM* multi_;
  CURL* easy_;
  bool added_ = false;
  char why_[CURL_ERROR_SIZE] = {};
};

}  // namespace svm::net
