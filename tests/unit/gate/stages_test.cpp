// Every operation, through both doors, passes every stage in order; none can be reached around a check.
#include "fakes.hpp"
#include "model/limits.hpp"

using namespace svm;
using namespace svm::test;

namespace {

Journal stages_of(const Journal& journal) {
  Journal stages;
  for (const std::string& entry : journal)
    if (entry.starts_with("stage ")) stages.push_back(entry.substr(6));
  return stages;
}

const Journal kAllStages(gate::kStages.begin(), gate::kStages.end());

size_t position(const Journal& journal, std::string_view entry) {
  return static_cast<size_t>(std::find(journal.begin(), journal.end(), entry) - journal.begin());
}

bool reached_manager(const Journal& journal) {
  for (const std::string& entry : journal)
    if (entry.starts_with("manager ")) return true;
  return false;
}

}  // namespace

TEST_CASE("stages: every operation passes all of them, in order, through both doors") {
  each_operation([]<class O>() {
    INFO("operation: ", std::string(O::row.name));
    Rig typed;
    call_typed<O>(typed, model::decode<typename O::Request>({}, body_of<O>()));
    CHECK(stages_of(typed.manager.journal) == kAllStages);
    Rig json;
    call_json<O>(json, body_of<O>());
    CHECK(stages_of(json.manager.journal) == kAllStages);
  });
}

TEST_CASE("stages: the act comes after its intent and before its outcome, and after every check") {
  each_operation([]<class O>() {
    INFO("operation: ", std::string(O::row.name));
    Rig rig;
    call_json<O>(rig, body_of<O>());
    const Journal& journal = rig.manager.journal;
    if (O::row.object == ops::ObjectRule::sandbox) {
      const size_t get = position(journal, "manager get");
      CHECK(get > position(journal, "stage object"));
      CHECK(get < position(journal, "stage resolve"));
    }
    if (ops::reads_records(O::row.scope)) {
      CHECK(rig.rows().empty());
      return;
    }
    const size_t intent = position(journal, "audit intent"), run = position(journal, "stage run"), outcome = position(journal, "audit outcome");
    CHECK(position(journal, "stage reserve") < intent);
    CHECK(intent < run);
    CHECK(run < outcome);
    CHECK(outcome < journal.size());
    for (const std::string_view act : {"manager spawn", "manager session", "manager extend", "manager destroy requested"}) {
      const size_t at = position(journal, act);
      if (at < journal.size()) CHECK((run < at && at < outcome));
    }
  });
}

TEST_CASE("stages: without the scope nothing is decoded and nothing is reached") {
  each_operation([]<class O>() {
    INFO("operation: ", std::string(O::row.name));
    for (const std::vector<std::string>& scopes : {std::vector<std::string>{}, {"", "sandbox", "*:*", "sandbox:*", "admin", "SANDBOX:READ", "file"}}) {
      Rig rig;
      rig.caller.scopes = scopes;
      const auto error = error_of([&] { call_json<O>(rig, "this is not JSON"); });
      REQUIRE(error);
      CHECK(error->code() == Code::forbidden);
      CHECK(fact(*error, "scope") == ops::scope_name(O::row.scope));
      CHECK(stages_of(rig.manager.journal) == Journal{"scope", "audit"});
      CHECK_FALSE(reached_manager(rig.manager.journal));
      REQUIRE(rig.rows().size() == 1);
      CHECK(rig.rows()[0].phase == "denied");
      CHECK(rig.rows()[0].outcome == "FORBIDDEN");
    }
  });
}

TEST_CASE("stages: exactly the row's scope suffices, and no other operation's scope does") {
  each_operation([]<class O>() {
    for (const ops::Scope scope : ops::kScopes) {
      INFO("operation: ", std::string(O::row.name), " scope: ", std::string(ops::scope_name(scope)));
      Rig rig;
      rig.caller.scopes = {std::string(ops::scope_name(scope))};
      CHECK(code_of([&] { call_json<O>(rig, body_of<O>()); }) == (scope == O::row.scope ? Code::ok : Code::forbidden));
    }
  });
}

TEST_CASE("stages: a local caller without scopes may do nothing") {
  Rig rig;
  rig.caller = model::Identity{};
  CHECK(code_of([&] { rig.gate.run<ops::SandboxList>(rig.caller, {}); }) == Code::forbidden);
}

TEST_CASE("stages: a typed request meets the same bounds as a JSON one") {
  Rig rig;
  model::SpawnRequest spawn;
  spawn.ttl_ms = model::kMaxAskedTtlMs + 1;
  const auto error = error_of([&] { rig.gate.run<ops::SandboxSpawn>(rig.caller, spawn); });
  REQUIRE(error);
  CHECK(error->code() == Code::invalid);
  CHECK(fact(*error, "field") == "ttl");
  CHECK_FALSE(reached_manager(rig.manager.journal));
  REQUIRE(rig.rows().size() == 1);
  CHECK(rig.rows()[0].outcome == "BAD_REQUEST");
}

TEST_CASE("stages: an id that cannot be one is not found, and the manager is not asked") {
  each_operation([]<class O>() {
    if constexpr (O::row.object == ops::ObjectRule::sandbox) {
      INFO("operation: ", std::string(O::row.name));
      for (const std::string& id : {std::string("x"), std::string("../etc"), "sb-" + std::string(25, 'a'), "sb-" + std::string(27, 'a'), "SB-" + std::string(26, 'a'), "sb-" + std::string(26, '1'),
                                   "xx-" + std::string(26, 'a')}) {
        Rig rig;
        auto request = model::decode<typename O::Request>({}, body_of<O>());
        request.id = id;
        CHECK(code_of([&] { call_typed<O>(rig, request); }) == Code::not_found);
        // It may be a name there.
        if (!std::is_same_v<O, ops::SandboxGet>) CHECK_FALSE(reached_manager(rig.manager.journal));
        REQUIRE(rig.rows().size() == 1);
        CHECK(rig.rows()[0].object.empty());  // text of the caller's does not enter the log as an object
      }
    }
  });
}

TEST_CASE("stages: another tenant's sandbox cannot be told from one that does not exist") {
  each_operation([]<class O>() {
    if constexpr (O::row.object == ops::ObjectRule::sandbox) {
      INFO("operation: ", std::string(O::row.name));
      Rig foreign, absent, own;
      foreign.caller.tenant = absent.caller.tenant = own.caller.tenant = "mine";
      foreign.manager.records = {FakeManager::record(kId, "theirs")};
      absent.manager.records = {};
      own.manager.records = {FakeManager::record(kId, "mine")};
      const auto denied = error_of([&] { call_json<O>(foreign, body_of<O>()); });
      const auto missing = error_of([&] { call_json<O>(absent, body_of<O>()); });
      REQUIRE(denied);
      REQUIRE(missing);
      CHECK(denied->code() == Code::not_found);
      CHECK(denied->code() == missing->code());
      CHECK(denied->message() == missing->message());
      CHECK(denied->facts() == missing->facts());
      CHECK(position(foreign.manager.journal, "manager session") == foreign.manager.journal.size());
      REQUIRE(foreign.rows().size() == 1);
      CHECK(foreign.rows()[0].object == kId);
      CHECK(code_of([&] { call_json<O>(own, body_of<O>()); }) == Code::ok);
    }
  });
}

TEST_CASE("stages: a name is looked up among the caller's own tenant's, by sandbox.get alone") {
  Rig rig;
  rig.manager.records = {FakeManager::record(kId, "mine"), FakeManager::record(kOther, "theirs")};
  rig.manager.records[0].name = "web";
  rig.manager.records[1].name = "db";
  rig.caller.tenant = "mine";
  CHECK(rig.gate.run<ops::SandboxGet>(rig.caller, {"web"}).record.id == kId);
  CHECK(code_of([&] { rig.gate.run<ops::SandboxGet>(rig.caller, {"db"}); }) == Code::not_found);
  CHECK(code_of([&] { rig.gate.run<ops::SandboxExtend>(rig.caller, {"web", 1000}); }) == Code::not_found);
}

TEST_CASE("stages: a list's filters are all to be passed, and pages are full of what passes") {
  Rig rig;
  rig.manager.records.clear();
  for (int i = 0; i < 12; ++i) {
    model::SandboxRecord record = FakeManager::record("sb-" + std::string(25, 'a') + static_cast<char>('a' + i), "");
    record.metadata = {{"n", std::to_string(i % 3)}, {"even", i % 2 == 0 ? "yes" : ""}};
    record.owner_id = i < 6 ? "first" : "second";
    if (i == 4) record.state = model::State::destroying;
    rig.manager.records.push_back(record);
  }
  const auto ids = [&](model::ListRequest request) {
    std::string letters;
    for (const auto& item : rig.gate.run<ops::SandboxList>(rig.caller, std::move(request)).items) letters += item.record.id.back();
    return letters;
  };
  CHECK(ids({0, "", {"n=0"}}) == "adgj");
  CHECK(ids({0, "", {"n=0", "even=yes"}}) == "ag");
  CHECK(ids({1, "", {"n=0", "even=yes"}}) == "a");
  CHECK(ids({1, "sb-" + std::string(25, 'a') + "a", {"n=0", "even=yes"}}) == "g");
  CHECK(ids({0, "", {"even="}}) == "bdfhjl");
  CHECK(ids({0, "", {"odd="}}).empty());
  CHECK(ids({0, "", {}, "destroying"}) == "e");
  CHECK(ids({0, "", {"n=1"}, "", "", "second"}) == "hk");
}

TEST_CASE("stages: what the answer of a spawn names is what the outcome names") {
  Rig rig;
  CHECK_FALSE(rig.gate.run<ops::SandboxSpawn>(rig.caller, {}).existed);
  CHECK(rig.rows().back().object == kOther);
  rig.manager.spawned = FakeManager::record(kId, "");
  CHECK(rig.gate.run<ops::SandboxSpawn>(rig.caller, {}).existed);
  REQUIRE(rig.rows().size() == 4);
  CHECK(rig.rows()[2].object == kOther);
  CHECK(rig.rows()[3].object == kId);
}

TEST_CASE("stages: a destroy's keep and a prune's age and tenant reach the manager") {
  Rig rig;
  rig.gate.run<ops::SandboxDestroy>(rig.caller, {kId, 1234});
  CHECK(position(rig.manager.journal, "manager destroy requested keep 1234") < rig.manager.journal.size());
  rig.caller.tenant = "mine";
  CHECK(rig.gate.run<ops::SandboxPrune>(rig.caller, {17}).pruned == 17);
  CHECK(position(rig.manager.journal, "manager prune mine") < rig.manager.journal.size());
}

TEST_CASE("stages: a sandbox without a tenant is hidden from callers with one") {
  Rig rig;
  rig.caller.tenant = "mine";
  CHECK(code_of([&] { rig.gate.run<ops::SandboxGet>(rig.caller, {kId}); }) == Code::not_found);
}

TEST_CASE("stages: only the embedding application may name host paths") {
  const auto spawn = [](Rig& rig, std::string_view body) { return error_of([&] { rig.gate.call(rig.caller, "sandbox.spawn", {}, body); }); };
  for (const std::string_view body : {R"({"mounts":[{"host":"/srv","guest":"/data"}]})", R"({"image":"/srv/rootfs"})", R"({"image":"./rootfs"})", R"({"image":"../rootfs"})"}) {
    Rig remote;
    remote.caller.local = false;
    const auto error = spawn(remote, body);
    REQUIRE(error);
    CHECK(error->code() == Code::forbidden);
    CHECK_FALSE(reached_manager(remote.manager.journal));
    CHECK(error->message().find("/srv") == std::string::npos);
    Rig local;
    CHECK_FALSE(spawn(local, body));
  }
  for (const std::string_view body : {R"({"image":"host"})", R"({"image":"alpine:latest"})", R"({"image":"registry.example/a/b:1"})", "{}", R"({"mounts":[]})"}) {
    Rig remote;
    remote.caller.local = false;
    CHECK_FALSE(spawn(remote, body));
  }
}

TEST_CASE("stages: paths of the host are shown to the embedding application alone") {
  Rig rig;
  rig.manager.records[0].image = "/srv/rootfs";
  const auto answers = [&] {
    std::string all = rig.gate.call(rig.caller, "sandbox.get", {{"id", kId}}, "");
    all += rig.gate.call(rig.caller, "sandbox.list", {}, "");
    all += rig.gate.call(rig.caller, "sandbox.extend", {{"id", kId}}, R"({"ttl":"1m"})");
    all += rig.gate.call(rig.caller, "sandbox.update", {{"id", kId}}, R"({"metadata":{}})");
    rig.manager.spawned = rig.manager.records[0];  // of somebody else, by a name
    return all + rig.gate.call(rig.caller, "sandbox.spawn", {}, "{}");
  };
  const auto count = [](const std::string& in, std::string_view what) {
    size_t n = 0;
    for (size_t at = in.find(what); at != in.npos; at = in.find(what, at + 1)) ++n;
    return n;
  };
  CHECK(count(answers(), R"("image":"/srv/rootfs")") == 5);
  rig.caller.local = false;
  const std::string hidden = answers();
  CHECK(count(hidden, R"-("image":"(host path)")-") == 5);
  CHECK(hidden.find("/srv") == hidden.npos);
}

TEST_CASE("stages: a session's owner is its sandboxes' owner, whatever the request says") {
  Rig rig;
  std::string seen;
  rig.manager.resolving = [&](const model::SpawnRequest& request) { seen = request.owner_id; };
  rig.gate.call(rig.caller, "sandbox.spawn", {}, R"({"owner_id":"mine"})");
  CHECK(seen == "mine");
  rig.caller.owner = "someone";
  rig.gate.call(rig.caller, "sandbox.spawn", {}, R"({"owner_id":"mine"})");
  CHECK(seen == "someone");
  rig.gate.run<ops::SandboxSpawn>(rig.caller, {});
  CHECK(seen == "someone");
}

TEST_CASE("stages: a tenant's list holds its own sandboxes only, and pages are full") {
  Rig rig;
  rig.manager.records.clear();
  for (int i = 0; i < 10; ++i) rig.manager.records.push_back(FakeManager::record("sb-" + std::string(25, 'a') + static_cast<char>('a' + i), i % 3 == 0 ? "mine" : "theirs"));
  rig.caller.tenant = "mine";  // records 0, 3, 6, 9
  const auto ids = [&](uint32_t limit, std::string after) {
    std::string letters;
    for (const auto& item : rig.gate.run<ops::SandboxList>(rig.caller, {limit, after}).items) letters += item.record.id.back();
    return letters;
  };
  CHECK(ids(0, "") == "adgj");
  CHECK(ids(2, "") == "ad");
  CHECK(ids(2, "sb-" + std::string(25, 'a') + "d") == "gj");
  CHECK(ids(1, "sb-" + std::string(25, 'a') + "j").empty());
  rig.caller.tenant.clear();
  CHECK(ids(3, "") == "abc");
}
