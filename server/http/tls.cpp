#include "tls.hpp"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <stdexcept>

namespace http {
namespace {

int capped(size_t size) noexcept { return static_cast<int>(std::min<size_t>(size, INT_MAX)); }

/// What a call that did not succeed means, as a socket would say it.
ssize_t answer(SSL* ssl, int result, bool& other_way, int expected) noexcept {
  const int error = SSL_get_error(ssl, result);
  ERR_clear_error();
  if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
    other_way = error != expected;
    errno = EAGAIN;
    return -1;
  }
  if (error == SSL_ERROR_ZERO_RETURN) return 0;
  errno = EPROTO;
  return -1;
}

std::string why() {
  const unsigned long error = ERR_get_error();
  ERR_clear_error();
  if (ERR_SYSTEM_ERROR(error)) return std::strerror(ERR_GET_REASON(error));
  const char* reason = ERR_reason_error_string(error);
  return reason ? reason : "unknown reason";
}

}  // namespace

TlsSession::~TlsSession() { SSL_free(ssl_); }

ssize_t TlsSession::read(char* data, size_t size, bool& wants_write) noexcept {
  const int n = SSL_read(ssl_, data, capped(size));
  return n > 0 ? n : answer(ssl_, n, wants_write, SSL_ERROR_WANT_READ);
}

ssize_t TlsSession::write(const char* data, size_t size, bool& wants_read) noexcept {
  const int n = SSL_write(ssl_, data, capped(size));
  return n > 0 ? n : answer(ssl_, n, wants_read, SSL_ERROR_WANT_WRITE);
}

void TlsSession::close_notify() noexcept {
  if (SSL_is_init_finished(ssl_)) (void)SSL_shutdown(ssl_);
  ERR_clear_error();
}

TlsContext::TlsContext(const std::string& certificate_file, const std::string& key_file) : context_(SSL_CTX_new(TLS_server_method())) {
  if (!context_) throw std::runtime_error("TLS: " + why());
  const auto fail = [&](const std::string& what) {
    const std::string message = "TLS: " + what + ": " + why();
    SSL_CTX_free(context_);
    throw std::runtime_error(message);
  };
  for (const std::string& file : {certificate_file, key_file})
    if (::access(file.c_str(), R_OK) != 0) {
      const std::string message = "TLS: " + file + ": " + std::strerror(errno);
      SSL_CTX_free(context_);
      throw std::runtime_error(message);
    }
  if (SSL_CTX_set_min_proto_version(context_, TLS1_2_VERSION) != 1) fail("TLS 1.2");
  (void)SSL_CTX_set_options(context_, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  // Writes may go on with other bytes at the same place: they are given from wherever the answer is.
  (void)SSL_CTX_set_mode(context_, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
  if (SSL_CTX_use_certificate_chain_file(context_, certificate_file.c_str()) != 1) fail(certificate_file + ": no certificate in PEM");
  if (SSL_CTX_use_PrivateKey_file(context_, key_file.c_str(), SSL_FILETYPE_PEM) != 1) fail(key_file + ": no private key in PEM");
  if (SSL_CTX_check_private_key(context_) != 1) fail(key_file + ": not the certificate's key");
}

TlsContext::~TlsContext() { SSL_CTX_free(context_); }

std::unique_ptr<TlsSession> TlsContext::accept(int fd) const {
  SSL* ssl = SSL_new(context_);
  if (!ssl) return nullptr;
  auto session = std::make_unique<TlsSession>(ssl);
  if (SSL_set_fd(ssl, fd) != 1) return nullptr;
  SSL_set_accept_state(ssl);
  return session;
}

}  // namespace http
