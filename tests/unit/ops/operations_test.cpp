#include "ops/operations.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>
#include <string>
#include <type_traits>
#include <vector>

#include "model/fields.hpp"

using namespace svm;

namespace {

template <class Visit, class... O>
void each(Visit visit, std::tuple<O...>*) { (visit.template operator()<O>(), ...); }
template <class Visit>
void each_operation(Visit visit) { each(visit, static_cast<ops::All*>(nullptr)); }

std::string group_of(std::string_view name) { return std::string(name.substr(0, name.find('.'))); }

bool spelt(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; });
}

}  // namespace

TEST_CASE("operations: names are unique and are noun.verb") {
  std::set<std::string_view> names;
  each_operation([&]<class O>() {
    const std::string_view name = O::row.name;
    INFO("operation: ", std::string(name));
    CHECK(names.insert(name).second);
    const size_t dot = name.find('.');
    REQUIRE(dot != name.npos);
    CHECK(spelt(name.substr(0, dot)));
    CHECK(spelt(name.substr(dot + 1)));
  });
  CHECK(names.size() == std::tuple_size_v<ops::All>);
}

TEST_CASE("operations: each noun's are together") {
  std::vector<std::string> groups;
  each_operation([&]<class O>() {
    const std::string group = group_of(O::row.name);
    if (groups.empty() || groups.back() != group) groups.push_back(group);
  });
  CHECK(std::set<std::string>(groups.begin(), groups.end()).size() == groups.size());
}

TEST_CASE("operations: rows are complete and agree with their types") {
  each_operation([]<class O>() {
    INFO("operation: ", std::string(O::row.name));
    CHECK(O::row.cost >= 1);
    CHECK_FALSE(O::row.verb.empty());
    CHECK(O::row.doc.size() > 10);
    CHECK(O::row.doc.back() == '.');
    CHECK_FALSE(ops::scope_name(O::row.scope).empty());
    CHECK((O::row.shape == ops::Shape::stream) == std::is_same_v<typename O::Response, ops::Streamed>);
    CHECK((O::row.object == ops::ObjectRule::sandbox) == requires(typename O::Request r) { r.id; });
  });
}

TEST_CASE("operations: a scope that reads cannot write") {
  each_operation([]<class O>() {
    INFO("operation: ", std::string(O::row.name));
    const bool reading = ops::reads_records(O::row.scope) || O::row.scope == ops::Scope::file_read;
    CHECK((O::row.effect == ops::Effect::read) == reading);
  });
}

TEST_CASE("operations: every request and every answer has a field list") {
  // fields_of does not link for a struct without one, so that this compiles is most of the test.
  each_operation([]<class O>() {
    INFO("operation: ", std::string(O::row.name));
    const model::Fields& request = model::fields_of<typename O::Request>();
    CHECK(request.list.empty() == std::is_empty_v<typename O::Request>);
    CHECK_FALSE(request.array);
    if constexpr (!std::is_same_v<typename O::Response, ops::Streamed>) CHECK_FALSE(model::fields_of<typename O::Response>().list.empty());
  });
}

TEST_CASE("operations: scope names are the wire's and differ") {
  CHECK(ops::scope_name(ops::Scope::sandbox_read) == "sandbox:read");
  CHECK(ops::scope_name(ops::Scope::sandbox_write) == "sandbox:write");
  CHECK(ops::scope_name(ops::Scope::exec) == "exec");
  CHECK(ops::scope_name(ops::Scope::file_read) == "file:read");
  CHECK(ops::scope_name(ops::Scope::file_write) == "file:write");
  CHECK(ops::scope_name(ops::Scope::template_read) == "template:read");
  CHECK(ops::scope_name(ops::Scope::template_write) == "template:write");
  CHECK(ops::scope_name(ops::Scope::system_read) == "system:read");
  std::set<std::string_view> names;
  for (const ops::Scope scope : ops::kScopes) CHECK(names.insert(ops::scope_name(scope)).second);
}
