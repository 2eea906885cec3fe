#include "http_client.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <vector>

extern char** environ;

namespace bench {
namespace {

[[noreturn]] void fail(const char* what) { throw std::runtime_error(std::string(what) + ": " + std::strerror(errno)); }

constexpr const char* kHost = "Host: 127.0.0.1\r\n";

}  // namespace

ServerProcess::ServerProcess(const std::string& executable, const std::string& state_dir) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) < 0) fail("pipe");
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
  std::vector<std::string> words{executable, "serve", "--config", "/dev/null", "--port", "0", "--state-dir", state_dir};
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const int error = ::posix_spawn(&process_, executable.c_str(), &actions, nullptr, argv.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  ::close(ends[1]);
  if (error != 0) {
    ::close(ends[0]);
    errno = error;
    fail(executable.c_str());
  }
  std::string said;
  char byte;
  constexpr const char* kMark = "127.0.0.1:";
  while (said.find(kMark) == std::string::npos || said.find(',') == std::string::npos) {
    const ssize_t n = ::read(ends[0], &byte, 1);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) throw std::runtime_error("the server did not start: " + said);
    said += byte;
  }
  // The pipe stays open for what the server says later: a few lines, which fit.
  port_ = static_cast<uint16_t>(std::stoul(said.substr(said.find(kMark) + std::strlen(kMark))));
}

ServerProcess::~ServerProcess() {
  if (process_ <= 0) return;
  ::kill(process_, SIGTERM);
  int status = 0;
  while (::waitpid(process_, &status, 0) < 0 && errno == EINTR) {
  }
}

HttpClient::HttpClient(uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  if (fd_ < 0) fail("socket");
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int on = 1;
  (void)::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) < 0) {
    ::close(fd_);
    fail("connect");
  }
}

HttpClient::~HttpClient() { ::close(fd_); }

void HttpClient::send(const std::string& request) {
  for (size_t at = 0; at < request.size();) {
    const ssize_t n = ::send(fd_, request.data() + at, request.size() - at, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail("send");
    at += static_cast<size_t>(n);
  }
}

void HttpClient::fill() {
  char bytes[65536];
  ssize_t n;
  do n = ::recv(fd_, bytes, sizeof bytes, 0);
  while (n < 0 && errno == EINTR);
  if (n < 0) fail("recv");
  if (n == 0) throw std::runtime_error("the server closed the connection");
  in_.append(bytes, static_cast<size_t>(n));
}

std::string HttpClient::receive() {
  size_t head;
  while ((head = in_.find("\r\n\r\n")) == std::string::npos) fill();
  const size_t at = in_.find("Content-Length: ");
  if (at == std::string::npos || at > head) throw std::runtime_error("an answer without a length: " + in_.substr(0, head));
  const size_t size = std::stoul(in_.substr(at + 16)), end = head + 4 + size;
  while (in_.size() < end) fill();
  std::string body = in_.substr(head + 4, size);
  if (in_.compare(0, 10, "HTTP/1.1 2") != 0) throw std::runtime_error(in_.substr(0, 12) + ": " + body);
  in_.erase(0, end);
  return body;
}

void HttpClient::receive_until(const std::string& mark) {
  while (in_.find(mark) == std::string::npos) fill();
}

std::string get(const std::string& path) { return "GET " + path + " HTTP/1.1\r\n" + kHost + "\r\n"; }
std::string post(const std::string& path, const std::string& json) {
  return "POST " + path + " HTTP/1.1\r\n" + kHost + "Content-Type: application/json\r\nContent-Length: " + std::to_string(json.size()) + "\r\n\r\n" + json;
}
std::string del(const std::string& path) { return "DELETE " + path + " HTTP/1.1\r\n" + kHost + "\r\n"; }

}  // namespace bench
