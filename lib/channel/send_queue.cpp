#include "channel/send_queue.hpp"

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <new>

namespace svm::channel {
namespace {

constexpr size_t kChunkBytes = 64 * 1024;  // small frames share a chunk up to this size
constexpr size_t kGather = 32;             // chunks in one system call

/// Bytes taken; 0 where the socket is full; -1 where it is broken.
ssize_t send_some(int socket, iovec* parts, size_t count) {
  msghdr message{};
  message.msg_iov = parts;
  message.msg_iovlen = count;
  for (;;) {
    const ssize_t n = ::sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n >= 0) return n;
    if (errno == EINTR) continue;
    // ENOBUFS and ENOMEM: the kernel is short of memory for the moment; the socket is intact.
    return errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM ? 0 : -1;
  }
}

iovec part(std::string_view bytes) {
  return {const_cast<char*>(bytes.data()), bytes.size()};  // sendmsg does not write to it
}

}  // namespace

bool SendQueue::send(int socket, std::string_view header, std::string_view payload) noexcept {
  size_t sent = 0;
  if (size_ == 0) {
    iovec parts[] = {part(header), part(payload)};
    const ssize_t n = send_some(socket, parts, payload.empty() ? 1 : 2);
    if (n < 0) return drop(), false;
    sent = static_cast<size_t>(n);
  }
  try {
    const size_t from_header = std::min(sent, header.size());
    append(header.substr(from_header));
    append(payload.substr(sent - from_header));
  } catch (const std::bad_alloc&) {
    return drop(), false;  // a frame that stops in the middle takes the connection with it
  }
  return true;
}

void SendQueue::append(std::string_view bytes) {
  if (bytes.empty()) return;
  if (chunks_.empty() || chunks_.back().size() + bytes.size() > kChunkBytes)
    chunks_.emplace_back(bytes);
  else
    chunks_.back() += bytes;
  size_ += bytes.size();
}

bool SendQueue::flush(int socket) noexcept {
  while (size_ > 0) {
    iovec parts[kGather];
    size_t count = 0;
    size_t skip = offset_;
    for (auto chunk = chunks_.begin(); chunk != chunks_.end() && count < kGather; ++chunk, skip = 0)
      parts[count++] = part(std::string_view(*chunk).substr(skip));
    const ssize_t n = send_some(socket, parts, count);
    if (n < 0) return drop(), false;
    if (n == 0) return true;
    size_ -= static_cast<size_t>(n);
    offset_ += static_cast<size_t>(n);
    while (!chunks_.empty() && offset_ >= chunks_.front().size()) {
      offset_ -= chunks_.front().size();
      chunks_.pop_front();
    }
  }
  return true;
}

void SendQueue::drop() noexcept {
  chunks_.clear();
  offset_ = size_ = 0;
}

}  // namespace svm::channel
