// Who may become the owner of a launcher that another owner left.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <string>

#include "core/error.hpp"
#include "core/id.hpp"
#include "providers/native/launcher_client.hpp"
#include "isolation/id_range.hpp"

using namespace svm;
using namespace svm::providers::native;

namespace {

struct State {
  State() {
    char path[] = "/tmp/svm-takeover-XXXXXX";
    REQUIRE(mkdtemp(path));
    directory = path;
  }
  ~State() { (void)std::system(("rm -rf " + directory).c_str()); }
  std::string directory;
  const std::string instance = random_id("");
  const bool rootless = isolation::why_no_id_ranges() != nullptr;
};

Code take(channel::Reactor& reactor, const Rendezvous& rendezvous) {
  std::vector<LauncherClient::Found> found;
  Fd held;
  try {
    const auto client = LauncherClient::take_over(reactor, rendezvous, true, found, held);
    if (!client) return Code::not_found;
    client->start();
    client->detach();
    return Code::ok;
  } catch (const Error& error) {
    return error.code();
  }
}

}  // namespace

TEST_CASE("a launcher has one owner, and the next one needs the key") {
  State state;
  channel::Reactor reactor;
  const Rendezvous rendezvous(state.directory);
  CHECK(rendezvous.key().size() == protocol::kOwnerKeyBytes);
  CHECK(Rendezvous(state.directory).key() == rendezvous.key());
  CHECK(take(reactor, rendezvous) == Code::not_found);  // nobody listens yet

  auto owner = std::make_unique<LauncherClient>(reactor, state.instance, state.rootless, -1, -1, &rendezvous, true);
  if (owner->online().error != 0) return;
  CHECK(take(reactor, rendezvous) == Code::conflict);  // owned
  CHECK(owner->alive());

  // Another key, as somebody would have who got at the socket but not at the key.
  struct stat before {}, after {};
  REQUIRE(::stat((state.directory + "/run/key").c_str(), &before) == 0);
  CHECK((before.st_mode & 07777) == 0600);
  REQUIRE(::stat((state.directory + "/run").c_str(), &after) == 0);
  CHECK((after.st_mode & 07777) == 0700);
  std::ofstream(state.directory + "/run/key", std::ios::binary) << std::string(protocol::kOwnerKeyBytes, 'x');
  const Rendezvous stranger(state.directory);
  CHECK(take(reactor, stranger) == Code::conflict);
  CHECK(owner->alive());

  // Somebody who says nothing, or nonsense, keeps nobody out.
  const Fd silent = rendezvous.connect();
  CHECK(silent.valid());
  const Fd babbler = rendezvous.connect();
  CHECK(send_message(babbler.get(), "junk", 4, nullptr, 0) == 0);
  CHECK(take(reactor, rendezvous) == Code::conflict);
  CHECK(owner->alive());

  // Without sandboxes nothing is left to own: the launcher ends.
  const Fd pidfd(::fcntl(owner->process().pidfd(), F_DUPFD_CLOEXEC, 3));
  owner->detach();
  AgentProcess process = AgentProcess::adopt(Fd(::fcntl(pidfd.get(), F_DUPFD_CLOEXEC, 3)));
  CHECK(process.wait(10'000));
  CHECK(take(reactor, rendezvous) == Code::not_found);
}

TEST_CASE("a state directory whose run/ or key is open to others is refused") {
  State state;
  { const Rendezvous made(state.directory); }
  const auto code = [&] {
    try {
      const Rendezvous opened(state.directory);
      return Code::ok;
    } catch (const Error& error) {
      return error.code();
    }
  };
  CHECK(code() == Code::ok);
  REQUIRE(::chmod((state.directory + "/run/key").c_str(), 0640) == 0);
  CHECK(code() == Code::forbidden);
  REQUIRE(::chmod((state.directory + "/run/key").c_str(), 0600) == 0);
  REQUIRE(::chmod((state.directory + "/run").c_str(), 0711) == 0);
  CHECK(code() == Code::forbidden);
  REQUIRE(::chmod((state.directory + "/run").c_str(), 0700) == 0);
  REQUIRE(::truncate((state.directory + "/run/key").c_str(), 31) == 0);
  CHECK(code() == Code::conflict);
}
