#include "aftermath.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "../contract/lab.hpp"
#include "core/fd.hpp"
#include "store/store.hpp"

namespace svm::test {
namespace {

namespace fs = std::filesystem;

constexpr int kPatienceMs = 15'000;
constexpr const char* kIdRanges = "/run/stacyvm/id-ranges";

/// Reaps what has ended; whether that was all.
bool no_children() {
  pid_t ended;
  while ((ended = waitpid(-1, nullptr, WNOHANG | __WALL)) > 0) {
  }
  return ended < 0 && errno == ECHILD;
}

std::string children() {
  std::string found;
  for (const auto& task : fs::directory_iterator("/proc/self/task")) {
    std::ifstream ids(task.path() / "children");
    for (pid_t child; ids >> child;) {
      std::string name;
      std::getline(std::ifstream("/proc/" + std::to_string(child) + "/cmdline"), name, '\0');
      found += std::to_string(child) + ' ' + name + '\n';
    }
  }
  return found;
}

/// Of namespaces that this process holds open. Without a process, a mount or a descriptor a namespace does not exist.
std::string namespace_descriptors() {
  std::string found;
  for (const auto& entry : fs::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    const std::string target = fs::read_symlink(entry.path(), gone).string();
    if (target.find(":[") != target.npos && !target.starts_with("pipe:") && !target.starts_with("socket:")) found += target + '\n';
  }
  return found;
}

bool range_is_free(uint32_t base) {
  const Fd file(::open(kIdRanges, O_RDWR | O_CLOEXEC));
  if (!file) return true;
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = base / store::kIdsPerRange;
  lock.l_len = 1;
  return ::fcntl(file.get(), F_OFD_GETLK, &lock) == 0 && lock.l_type == F_UNLCK;
}

void check_files(const std::string& state_directory) {
  // run/key.new: a host was killed while it wrote it; the next one that needs a key begins anew.
  static const std::set<std::string> kKnown{"lock", "launcher", "stacyvm.db", "stacyvm.db-wal", "stacyvm.db-shm", "run", "run/key", "run/key.new", "run/owner"};
  for (const auto& entry : fs::recursive_directory_iterator(state_directory)) {
    const std::string name = fs::relative(entry.path(), state_directory).string();
    CHECK_MESSAGE(kKnown.contains(name), name);
  }
}

void check_store(store::Store& store, const std::vector<std::string>& sandboxes) {
  CHECK(store.list(1000, "").empty());
  CHECK(store.live_count() == 0);
  CHECK(store.execs({"", "", "", store::Store::ExecState::running, 1000}).empty());
  for (const std::string& id : sandboxes) {
    CAPTURE(id);
    const auto record = store.get(id);
    REQUIRE(record);
    CHECK((record->state == model::State::destroyed || record->state == model::State::error));
    CHECK(record->destroyed_ms > 0);
    CHECK_FALSE(record->reason.empty());
    // Another instance of this machine may have taken it since, and gives it back some time.
    if (record->id_base != 0) CHECK(within(kPatienceMs, [&] { return range_is_free(record->id_base); }));
    CHECK(groups_with(id) == 0);
  }
  const auto range = store.event_range();
  const std::vector<model::Event> events = store.events(0, UINT32_MAX);
  CHECK(static_cast<int64_t>(events.size()) == range.last - range.first + 1);
  for (size_t i = 0; i < events.size(); ++i) CHECK(events[i].id == range.first + static_cast<int64_t>(i));
  int64_t seq = 0;
  for (const model::AuditRow& row : store.audit(0, UINT32_MAX)) {
    CHECK(row.seq == ++seq);
    CHECK(row.intent_seq < row.seq);
  }
}

}  // namespace

Aftermath::Aftermath() {
  REQUIRE(::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0);
  // Where nobody else mounts anything. Who may not have that may not mount outside of a namespace of his own, either.
  if (::unshare(CLONE_NEWNS) == 0 && ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0) mounts_ = read_host_file("/proc/self/mountinfo");
}

void Aftermath::check(const std::string& state_directory, const std::vector<std::string>& sandboxes) const {
  const bool alone = within(kPatienceMs, no_children);
  CHECK_MESSAGE(alone, "left running: " << children());
  if (!mounts_.empty()) CHECK(read_host_file("/proc/self/mountinfo") == mounts_);
  CHECK(namespace_descriptors() == "");
  check_files(state_directory);
  const std::unique_ptr<store::Store> store = store::open_sqlite(state_directory, true);
  CHECK(groups_with("stacyvm-" + store->instance_id()) == 0);
  check_store(*store, sandboxes);
}

}  // namespace svm::test
