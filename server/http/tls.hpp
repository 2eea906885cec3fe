// TLS for the server (OpenSSL). TLS 1.2 and later.
#pragma once
#include <sys/types.h>

#include <memory>
#include <string>

using SSL = struct ssl_st;
using SSL_CTX = struct ssl_ctx_st;

namespace http {

/// One connection's. Calls from one thread at a time.
class TlsSession {
 public:
  explicit TlsSession(SSL* owned) noexcept : ssl_(owned) {}
  ~TlsSession();
  TlsSession(const TlsSession&) = delete;
  TlsSession& operator=(const TlsSession&) = delete;

  /// As recv(2) on a non-blocking socket: 0 the end, -1 with errno, EAGAIN among them. The handshake happens within. `wants_write`: with EAGAIN, whether
  /// it is for room to write and not for bytes to read that is waited.
  ssize_t read(char* data, size_t size, bool& wants_write) noexcept;
  /// As send(2), the other way round.
  ssize_t write(const char* data, size_t size, bool& wants_read) noexcept;
  void close_notify() noexcept;

 private:
  SSL* ssl_;
};

/// A certificate and its key. Thread-safe once made.
class TlsContext {
 public:
  /// PEM files; the certificate's with the chain. Throws std::runtime_error that names the file and not what is in it.
  TlsContext(const std::string& certificate_file, const std::string& key_file);
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

  /// For an accepted socket. nullptr without memory.
  std::unique_ptr<TlsSession> accept(int fd) const;

 private:
  SSL_CTX* context_;
};

}  // namespace http
