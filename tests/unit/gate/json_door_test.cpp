#include "fakes.hpp"
#include "model/json.hpp"

using namespace svm;
using namespace svm::test;

TEST_CASE("json door: answers are the operation's JSON") {
  Rig rig;
  CHECK(rig.gate.call(rig.caller, "sandbox.destroy", {{"id", kId}}, "") == R"({"status":"destroyed"})");
  CHECK(rig.gate.call(rig.caller, "sandbox.get", {{"id", kId}}, "").starts_with("{\"id\":\"" + kId + "\",\"state\":\"running\""));
  CHECK(rig.gate.call(rig.caller, "sandbox.list", {}, "").starts_with("[{"));
  rig.manager.records.clear();
  CHECK(rig.gate.call(rig.caller, "sandbox.list", {}, "{}") == "[]");
  rig.manager.records = {FakeManager::record(kId, "")};
  CHECK(rig.gate.call(rig.caller, "file.list", {{"id", kId}, {"path", "/"}}, "") == "[]");
  CHECK(rig.gate.call(rig.caller, "exec.run", {{"id", kId}}, R"({"command":"true"})").starts_with(R"({"exit_code":0,"stdout":"")"));
  CHECK(rig.gate.call(rig.caller, "sandbox.extend", {{"id", kId}}, R"({"ttl":"2s"})").find(R"("expires_at":"1970-01-01T00:00:02Z")") != std::string::npos);
}

TEST_CASE("json door: an unknown operation") {
  Rig rig;
  for (const std::string_view name : {"", "sandbox", "sandbox.spawn ", "Sandbox.spawn", "sandbox.spawnx", "\xff\n"}) {
    const auto error = error_of([&] { rig.gate.call(rig.caller, name, {}, ""); });
    REQUIRE(error);
    CHECK(error->code() == Code::not_found);
    CHECK(error->facts()[0].first == "operation");
    CHECK(fact(*error, "operation").find('\n') == std::string::npos);
    CHECK(code_of([&] { rig.gate.call_stream(rig.caller, name, {}, ""); }) == Code::not_found);
  }
  CHECK(rig.manager.journal.empty());
}

TEST_CASE("json door: each operation answers in its own shape only") {
  each_operation([]<class O>() {
    INFO("operation: ", std::string(O::row.name));
    Rig rig;
    const Code other = O::row.shape == ops::Shape::stream ? code_of([&] { rig.gate.call(rig.caller, O::row.name, {}, body_of<O>()); })
                                                          : code_of([&] { rig.gate.call_stream(rig.caller, O::row.name, {}, body_of<O>()); });
    CHECK(other == Code::invalid);
    CHECK(rig.manager.journal.empty());
  });
}

TEST_CASE("json door: a bad body is refused before the sandbox is looked for") {
  Rig rig;
  CHECK(code_of([&] { rig.gate.call(rig.caller, "exec.run", {{"id", kId}}, "{"); }) == Code::invalid);
  CHECK(code_of([&] { rig.gate.call(rig.caller, "exec.run", {{"id", kId}}, R"({"command":"c","tenant_id":"t"})"); }) == Code::invalid);
  for (const std::string& entry : rig.manager.journal) CHECK_FALSE(entry.starts_with("manager "));
  REQUIRE(rig.rows().size() == 2);
  CHECK(rig.rows()[0].object == kId);  // what it wanted is known from the path
}

TEST_CASE("json door: the description lists every operation with its schemas") {
  const model::Json list = model::json_parse(gate::describe_operations(), "description");
  REQUIRE(list.items.size() == std::tuple_size_v<ops::All>);
  size_t i = 0;
  each_operation([&]<class O>() {
    const model::Json& item = list.items[i++];
    const auto member = [&](std::string_view name) -> const model::Json* {
      for (size_t m = 0; m < item.names.size(); ++m)
        if (item.names[m] == name) return &item.items[m];
      return nullptr;
    };
    REQUIRE(member("name"));
    CHECK(member("name")->text == O::row.name);
    CHECK(member("scope")->text == ops::scope_name(O::row.scope));
    CHECK(member("effect"));
    CHECK(member("shape"));
    CHECK(member("doc")->text == O::row.doc);
    CHECK(member("request")->type == model::Json::Type::object);
    CHECK((member("response") != nullptr) == (O::row.shape == ops::Shape::unary));
  });
}
