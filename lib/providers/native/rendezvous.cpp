#include "providers/native/rendezvous.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "core/error.hpp"
#include "core/fail_point.hpp"
#include "core/id.hpp"
#include "protocol/launch.hpp"

namespace svm::providers::native {
namespace {

constexpr const char* kDirectory = "run";
constexpr const char* kKey = "key";
constexpr const char* kNewKey = "key.new";
constexpr const char* kSocket = "owner";
constexpr int kBacklog = 16;

Error io_error(const char* what) { return errno_error(Code::io, errno, std::string("state directory: ") + what); }

void require_private(int fd, const char* what, mode_t others) {
  struct stat info {};
  if (::fstat(fd, &info) < 0) throw io_error(what);
  if (info.st_uid != ::geteuid() || (info.st_mode & others) != 0)
    throw Error(Code::forbidden, std::string("state directory: ") + what + ": belongs to somebody else or is open to others");
}

/// The address through the directory's descriptor: a path of any length may lead to it, and nobody can put another one in its place.
sockaddr_un address_in(const Fd& directory) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s", directory.get(), kSocket);
  return address;
}

}  // namespace

Rendezvous::Rendezvous(const std::string& state_directory) {
  const Fd parent(::open(state_directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!parent) throw io_error("open");
  if (::mkdirat(parent.get(), kDirectory, 0700) < 0 && errno != EEXIST) throw io_error(kDirectory);
  directory_.reset(::openat(parent.get(), kDirectory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!directory_) throw io_error(kDirectory);
  require_private(directory_.get(), kDirectory, 0077);

  key_.resize(protocol::kOwnerKeyBytes);
  Fd file(::openat(directory_.get(), kKey, O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  if (!file && errno != ENOENT) throw io_error(kKey);
  if (file) {
    require_private(file.get(), kKey, 0077);
    if (read_all(file.get(), key_.data(), key_.size()) != static_cast<long>(key_.size()))
      throw Error(Code::conflict, "state directory: run/key is not a key; without sandboxes that live on it may be removed");
    return;
  }
  random_bytes(key_.data(), key_.size());
  (void)::unlinkat(directory_.get(), kNewKey, 0);  // of one who was killed here
  SVM_FAIL_POINT_THROW(Code::io, "rendezvous.make_key");
  file.reset(::openat(directory_.get(), kNewKey, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file) throw io_error(kKey);
  if (const int error = write_all(file.get(), key_.data(), key_.size())) throw errno_error(Code::io, -error, "state directory: key");
  SVM_FAIL_POINT_THROW(Code::io, "rendezvous.sync_key");
  if (::fsync(file.get()) < 0 || ::renameat(directory_.get(), kNewKey, directory_.get(), kKey) < 0 || ::fsync(directory_.get()) < 0) throw io_error(kKey);
}

Fd Rendezvous::connect() const {
  Fd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!socket) throw errno_error(Code::limit, errno, "launcher socket");
  const sockaddr_un address = address_in(directory_);
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return socket;
  if (errno == ENOENT || errno == ECONNREFUSED) return Fd();
  throw io_error(kSocket);
}

Fd Rendezvous::listen() const {
  Fd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!socket) throw errno_error(Code::limit, errno, "launcher socket");
  if (::unlinkat(directory_.get(), kSocket, 0) < 0 && errno != ENOENT) throw io_error(kSocket);
  SVM_FAIL_POINT_THROW(Code::io, "rendezvous.listen");
  const sockaddr_un address = address_in(directory_);
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0 || ::listen(socket.get(), kBacklog) < 0)
    throw io_error(kSocket);
  return socket;
}

}  // namespace svm::providers::native
