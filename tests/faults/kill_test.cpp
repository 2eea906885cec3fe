// Hosts, launchers, agents and commands are killed at random moments under load: whoever opens the directory next finds all that was
// acknowledged, and what may live on; once that is closed nothing is left.
// --rounds=N: how many lives and ends (kRounds). --seed=N: of a run that is to be repeated, as far as the scheduler repeats it.
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <random>
#include <thread>

#include "aftermath.hpp"
#include "load.hpp"
#include "prey.hpp"
#include "store/store.hpp"

using namespace svm::test;
using std::chrono::milliseconds;

namespace {

constexpr unsigned kRounds = 12;
constexpr unsigned kRoundsPerDirectory = 6;
constexpr unsigned kMostHosts = 3;       // in a round, one after the other, before anybody looks
constexpr unsigned kMostVictims = 4;     // of a host, before itself
constexpr unsigned kMostPauseMs = 150;   // between two kills
constexpr unsigned kMostLines = 40;      // or as many further acknowledgements
constexpr unsigned kMostAskedAgain = 3;  // keys
constexpr int kStallMs = 90'000;         // without an acknowledgement: it hangs. A disk that a build has just filled may take half a minute for an fsync
constexpr milliseconds kPatience{30'000};

/// What was killed in a round, beside hosts.
struct Killed {
  std::set<std::string> sandboxes;
  unsigned launchers = 0, agents = 0, unknown = 0, commands = 0;  // unknown: agents whose sandbox nobody has named
  unsigned all() const { return launchers + agents + commands; }
};

struct Totals {
  unsigned hosts = 0, sandboxes = 0, execs = 0, events = 0, failures = 0, adopted = 0;
  Killed killed;
};

uint32_t number(const std::string& name, uint32_t otherwise) {
  const std::string text = option(name);
  return text.empty() ? otherwise : static_cast<uint32_t>(std::stoul(text));
}

off_t size_of(const std::string& file) {
  struct stat info {};
  REQUIRE(::stat(file.c_str(), &info) == 0);
  return info.st_size;
}

size_t lines_of(const std::string& file) {
  const std::string text = read_host_file(file);
  return static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
}

class Round {
 public:
  Round(std::string state, std::string record, bool detached, std::minstd_rand& random) : detached_(detached), random_(random) {
    load_ = {std::move(state), std::move(record), "kill-test-" + std::to_string(::getpid()) + "-", 0, detached};
    write_host_file(load_.record, "");
  }

  /// One host from its start to its end.
  void live_and_die() {
    load_.seed = static_cast<uint32_t>(random_());
    const pid_t host = ::fork();
    REQUIRE(host >= 0);
    if (host == 0) work(load_);
    for (auto victims = random_() % (kMostVictims + 1); victims > 0; --victims) {
      wait_a_while();
      kill_one();
    }
    wait_a_while();
    REQUIRE(::kill(host, SIGKILL) == 0);
    int status = 0;
    REQUIRE(::waitpid(host, &status, 0) == host);
    CHECK_MESSAGE((WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL), "the host had ended already: wait status " << status);
  }

  void check(const Aftermath& aftermath, Totals& totals) {
    told_.read(load_.record);
    for (const std::string& wrong : told_.wrong) FAIL_CHECK(wrong);
    if (killed_.all() == 0)
      for (const std::string& failure : told_.failures) FAIL_CHECK("nothing of it was killed: " << failure);
    look(totals);
    std::vector<std::string> ids;
    for (const auto& [id, key] : told_.sandboxes) ids.push_back(id);
    aftermath.check(load_.state, ids);
    check_store();
    totals.sandboxes += static_cast<unsigned>(told_.sandboxes.size());
    totals.execs += static_cast<unsigned>(told_.execs.size());
    totals.events += static_cast<unsigned>(told_.events.size());
    totals.failures += static_cast<unsigned>(told_.failures.size());
    totals.killed.launchers += killed_.launchers;
    totals.killed.agents += killed_.agents;
    totals.killed.commands += killed_.commands;
  }

 private:
  /// Some time, or some work done.
  void wait_a_while() {
    if (random_() % 2 == 0) {
      std::this_thread::sleep_for(milliseconds(random_() % kMostPauseMs));
      return;
    }
    size_t wanted = lines_of(load_.record) + random_() % kMostLines;
    off_t size = size_of(load_.record);
    while (lines_of(load_.record) < wanted) {
      if (!within(kStallMs, [&] { return size_of(load_.record) != size; })) {
        const std::string record = read_host_file(load_.record);
        FAIL_CHECK("the host does nothing any more: " << waits_of(::getpid()) << "; its last words: " << record.substr(record.size() - std::min<size_t>(record.size(), 400)));
        return;
      }
      size = size_of(load_.record);
    }
  }

  void kill_one() {
    constexpr Victim kVictims[] = {Victim::launcher, Victim::agent, Victim::agent, Victim::command};
    const Victim what = kVictims[random_() % std::size(kVictims)];
    std::vector<Prey> all = prey_of(::getpid());
    std::erase_if(all, [&](const Prey& prey) { return prey.what != what; });
    if (all.empty()) return;
    const Prey prey = all[random_() % all.size()];
    const std::string sandbox = what == Victim::agent ? marked(prey.id, load_.marker) : "";
    if (!kill_prey(prey)) return;
    if (what == Victim::launcher) ++killed_.launchers;
    if (what == Victim::command) ++killed_.commands;
    if (what != Victim::agent) return;
    ++killed_.agents;
    if (sandbox.empty())
      ++killed_.unknown;
    else
      killed_.sandboxes.insert(sandbox);
  }

  /// What the next owner finds.
  void look(Totals& totals) {
    keeps_ = detached_ && random_() % 3 != 0;
    stacyvm::Options options;
    options.state_dir = load_.state;
    options.flags = keeps_ ? STACYVM_OPEN_DETACHED : 0;
    stacyvm::Instance vm(options);
    stacyvm::Session session = vm.session();
    if (!detached_) CHECK(session.call("sandbox.list") == "[]");
    unsigned missing = 0;
    for (const auto& [id, key] : told_.sandboxes) {
      CAPTURE(id);
      const int32_t code = code_of([&] { (void)session.sandbox(id); });
      if (code == STACYVM_OK) {
        CHECK(detached_);
        CHECK_FALSE(told_.destroyed.contains(id));
        CHECK_FALSE(killed_.sandboxes.contains(id));
        stacyvm::Sandbox sandbox = session.sandbox(key);
        CHECK(sandbox.id() == id);
        CHECK(sh(sandbox, "echo adopted") == "adopted\n");
        adopted_.insert(id);
        continue;
      }
      CHECK(code == STACYVM_E_NOT_FOUND);
      if (!told_.ending.contains(id) && !killed_.sandboxes.contains(id)) ++missing;
    }
    if (detached_ && killed_.launchers == 0 && missing > killed_.unknown) {
      for (const std::string& failure : told_.failures) MESSAGE(failure);
      FAIL_CHECK(missing << " sandboxes did not outlive their owner");
    }
    totals.adopted += static_cast<unsigned>(adopted_.size());
    for (const auto& [exec, id] : told_.background) {
      if (!adopted_.contains(id)) continue;
      CAPTURE(exec);
      stacyvm::Sandbox sandbox = session.sandbox(id);
      stacyvm::Stream stream = sandbox.attach(exec);
      stacyvm_chunk chunk;
      REQUIRE(stream.next(chunk, kPatience) == stacyvm::Stream::Next::chunk);
      CHECK(std::string(static_cast<const char*>(chunk.data), chunk.size) == "up\n");
      if (killed_.commands == 0) CHECK(session.call("exec.get", {{"exec_id", exec}}).find("\"ended_at\"") == std::string::npos);
    }
    // What a key was used for it stands for, whether that lives or not.
    unsigned asked = 0;
    for (const auto& [id, key] : told_.sandboxes) {
      if (++asked > kMostAskedAgain) break;
      CHECK(session.spawn(keyed(key)).id() == id);
    }
    stacyvm::Sandbox fresh = session.spawn(spawn_options());
    CHECK(sh(fresh, "echo works") == "works\n");
    if (keeps_) vm.shutdown(kPatience);
  }

  void check_store() const {
    const std::unique_ptr<svm::store::Store> store = svm::store::open_sqlite(load_.state, true);
    for (const auto& [id, key] : told_.sandboxes) {
      CAPTURE(id);
      const auto record = store->get(id);
      if (!record) continue;  // a failure already
      CHECK(record->name == key);
      CAPTURE(record->reason);
      if (told_.destroyed.contains(id)) {
        CHECK((record->reason == "requested" || (killed_.all() > 0 && record->reason == "lost")));
        continue;
      }
      if (adopted_.contains(id)) {
        CHECK(record->reason == "shutdown");
        continue;
      }
      // Who was there to see it end says lost; otherwise it depends on whether it could have lived on.
      const bool lost = record->reason == "lost", recovered = record->reason == "recovered";
      if (told_.ending.contains(id))
        CHECK((lost || recovered || record->reason == "requested"));
      else if (keeps_)
        CHECK(lost);
      else
        CHECK((lost || recovered));
      if (killed_.all() == 0 && !told_.ending.contains(id)) CHECK(recovered);
    }
    for (const auto& [id, reason] : told_.execs) {
      CAPTURE(id);
      const auto exec = store->exec(id);
      CHECK((exec && exec->ended_ms > 0 && exec->reason == reason));
    }
    for (const auto& [id, sandbox] : told_.background) {
      CAPTURE(id);
      const auto exec = store->exec(id);
      CHECK((exec && exec->sandbox_id == sandbox && exec->background && exec->ended_ms > 0 && !exec->reason.empty()));
    }
    for (const auto& [id, json] : told_.events) {
      CAPTURE(json);
      const std::vector<svm::model::Event> event = store->events(id - 1, 1);
      CHECK((event.size() == 1 && event[0].id == id && event[0].type == text_member(json, "type") && event[0].sandbox_id == text_member(json, "sandbox_id")));
    }
  }

  Load load_;
  const bool detached_;
  std::minstd_rand& random_;
  Acknowledged told_;
  Killed killed_;
  bool keeps_ = false;               // the last owner opened it detached
  std::set<std::string> adopted_;
};

}  // namespace

TEST_CASE("hosts, launchers, agents and commands are killed at any moment under load") {
  const uint32_t seed = number("seed", std::random_device()()), rounds = number("rounds", kRounds);
  MESSAGE("--seed=" << seed << " --rounds=" << rounds);
  CAPTURE(seed);
  const Aftermath aftermath;
  std::minstd_rand random(seed);
  std::unique_ptr<TemporaryDirectory> directory;
  Totals totals;
  for (unsigned i = 0; i < rounds; ++i) {
    CAPTURE(i);
    if (i % kRoundsPerDirectory == 0) directory = std::make_unique<TemporaryDirectory>();
    const bool detached = random() % 2 == 0;
    CAPTURE(detached);
    Round round(directory->path() + "/state", directory->path() + "/record", detached, random);
    for (auto hosts = 1 + random() % kMostHosts; hosts > 0; --hosts, ++totals.hosts) round.live_and_die();
    round.check(aftermath, totals);
  }
  MESSAGE("killed: " << totals.hosts << " hosts, " << totals.killed.launchers << " launchers, " << totals.killed.agents << " agents, " << totals.killed.commands
                     << " commands. Acknowledged: " << totals.sandboxes << " sandboxes, " << totals.execs << " ended commands, " << totals.events << " events; "
                     << totals.adopted << " sandboxes adopted; " << totals.failures << " calls failed");
  CHECK(totals.sandboxes > 0);
  CHECK(totals.execs > 0);
  CHECK(totals.events > 0);
}
