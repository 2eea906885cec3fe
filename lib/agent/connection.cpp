#include "agent/connection.hpp"

#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "core/fd.hpp"

namespace svm::agent {
namespace {
constexpr size_t kPage = 4096;
constexpr size_t kMapBytes = kPage + protocol::kMaxData;
constexpr size_t kReadBytes = 256 * 1024;   // at most per read
constexpr size_t kIdleBytes = 16 * 1024;    // buffer capacity kept while nothing happens
constexpr size_t kQueueBytes = 4 * 1024;    // DATA up to this waits for its neighbours: one write for all
constexpr int kSocketBuffer = 1024 * 1024;  // asked for; the host may give less
}  // namespace

Connection::Connection(int fd) noexcept : fd_(fd) {
  if (const int error = set_nonblocking(fd, true)) error_ = -error;
  // Not a socket, or the host's limit: then transfers are only slower.
  (void)::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &kSocketBuffer, sizeof kSocketBuffer);
  void* map = ::mmap(nullptr, kMapBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (map == MAP_FAILED) {
    error_ = errno;
    return;
  }
  // A forked command has no use for it, and copying its page tables would cost every exec.
  (void)::madvise(map, kMapBytes, MADV_DONTFORK);
  map_ = static_cast<char*>(map);
  data_ = map_ + kPage;
}

void Connection::disconnect() noexcept {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
  in_.reset();
  in_capacity_ = in_size_ = parsed_ = sent_ = 0;
  needed_ = protocol::kHeaderBytes;
  std::string().swap(out_);
  grow_ = congested_ = broken_ = was_full_ = false;
}

int Connection::connect(Fd peer) noexcept {
  disconnect();
  if (const int error = set_nonblocking(peer.get(), true)) return error;
  (void)::setsockopt(peer.get(), SOL_SOCKET, SO_SNDBUF, &kSocketBuffer, sizeof kSocketBuffer);
  fd_ = peer.release();
  return 0;
}

Connection::~Connection() {
  if (map_) ::munmap(map_, kMapBytes);
}

Connection::Input Connection::receive() {
  const size_t held = in_size_ - parsed_;
  // A small buffer until more comes at once: most requests fit, and an idle agent keeps little.
  size_t capacity = in_capacity_ == 0 ? kIdleBytes : in_capacity_;
  if (held > 0 || grow_) capacity = std::max(capacity, kReadBytes);
  capacity = std::max(capacity, std::max(needed_, held + kIdleBytes));
  if (capacity > in_capacity_) {
    std::unique_ptr<char[]> larger(new char[capacity]);
    if (held > 0) std::memcpy(larger.get(), in_.get() + parsed_, held);
    in_ = std::move(larger);
    in_capacity_ = capacity;
  } else if (parsed_ > 0 && held > 0) {
    std::memmove(in_.get(), in_.get() + parsed_, held);
  }
  in_size_ = held;
  parsed_ = 0;
  const size_t room = in_capacity_ - held;
  ssize_t n;
  do {
    n = ::read(fd_, in_.get() + held, room);
  } while (n < 0 && errno == EINTR);
  if (n < 0) return errno == EAGAIN ? Input::drained : Input::ended;
  if (n == 0) return Input::ended;
  in_size_ += static_cast<size_t>(n);
  grow_ = static_cast<size_t>(n) == room;
  return grow_ ? Input::more : Input::drained;
}

Connection::Next Connection::next(protocol::Frame& frame) noexcept {
  size_t used = 0;
  switch (protocol::decode_frame(std::string_view(in_.get() + parsed_, in_size_ - parsed_), frame, used)) {
    case protocol::DecodeStatus::frame:
      parsed_ += used;
      needed_ = protocol::kHeaderBytes;
      return Next::frame;
    case protocol::DecodeStatus::need_more: needed_ = used; return Next::none;
    case protocol::DecodeStatus::malformed: break;
  }
  return Next::malformed;
}

void Connection::send(protocol::FrameType type, uint32_t stream, std::string_view payload) {
  if (fd_ >= 0) protocol::encode_frame(out_, type, stream, payload);
}

void Connection::touched(size_t size) noexcept { data_touched_ |= size > kIdleBytes; }

void Connection::send_data(uint32_t stream, protocol::DataKind kind, size_t size) {
  if (fd_ < 0) return;
  char header[protocol::kHeaderBytes];
  protocol::encode_header(header, protocol::FrameType::data, stream, static_cast<uint32_t>(size), kind);
  touched(size);
  if (size <= kQueueBytes) {
    out_.append(header, sizeof header);
    out_.append(data_, size);
    return;
  }
  flush();
  size_t done = 0;
  if (!congested_ && !broken_) {
    std::memcpy(data_ - sizeof header, header, sizeof header);
    ssize_t n;
    do {
      n = ::write(fd_, data_ - sizeof header, sizeof header + size);
    } while (n < 0 && errno == EINTR);
    if (n < 0 && errno != EAGAIN) {
      broken_ = true;
      return;
    }
    done = n > 0 ? static_cast<size_t>(n) : 0;
    if (done == sizeof header + size) return;
    congested_ = was_full_ = true;
    out_.append(data_ - sizeof header + done, sizeof header + size - done);
    return;
  }
  out_.append(header, sizeof header);
  out_.append(data_, size);
}

void Connection::flush() {
  while (!broken_ && sent_ < out_.size()) {
    const ssize_t n = ::write(fd_, out_.data() + sent_, out_.size() - sent_);
    if (n < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN) {
        congested_ = was_full_ = true;
        return;
      }
      broken_ = true;
      return;
    }
    sent_ += static_cast<size_t>(n);
  }
  out_.clear();
  sent_ = 0;
  congested_ = false;
}

void Connection::drop_unsent() noexcept {
  out_.clear();
  sent_ = 0;
  congested_ = false;
}

void Connection::trim() noexcept {
  if (parsed_ == in_size_ && in_capacity_ > kIdleBytes) {
    in_.reset();
    in_capacity_ = in_size_ = parsed_ = 0;
    grow_ = false;
  }
  if (out_.empty() && out_.capacity() > kIdleBytes) std::string().swap(out_);
  if (data_touched_) {
    (void)::madvise(data_, protocol::kMaxData, MADV_DONTNEED);
    data_touched_ = false;
  }
}

}  // namespace svm::agent
