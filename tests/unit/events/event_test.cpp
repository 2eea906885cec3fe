#include "events/event.hpp"

#include <doctest/doctest.h>

#include "model/json.hpp"

using namespace svm;
using namespace svm::events;

TEST_CASE("an event is spelt as the wire has it") {
  model::Event event{12, 1'767'323'045'678, "exec.completed", "sb-a", "", Data().text("reason", "exited").number("exit_code", -1).json()};
  CHECK(encode(event) == R"({"id":"evt-12","type":"exec.completed","sandbox_id":"sb-a","timestamp":"2026-01-02T03:04:05.678Z","data":{"reason":"exited","exit_code":-1}})");
  event = {1, 0, "events.gap", "", "t\"", ""};
  CHECK(encode(event) == R"({"id":"evt-1","type":"events.gap","tenant_id":"t\"","timestamp":"1970-01-01T00:00:00Z"})");
}

TEST_CASE("data: text is cut at its limit and at a character, and whatever it is the result is JSON") {
  CHECK(Data().json().empty());
  const std::string most(kMaxTextBytes, 'x');
  CHECK(Data().text("a", most).json() == "{\"a\":\"" + most + "\"}");
  CHECK(Data().text("a", most + "x").json() == "{\"a\":\"" + most + "...\"}");
  CHECK(Data().text("a", most.substr(1) + "\xc3\xa4").json() == "{\"a\":\"" + most.substr(1) + "...\"}");
  const std::string odd = Data().text("a\"", std::string("\0\n\xff", 3)).json();
  CHECK_NOTHROW(model::json_parse(odd, "data"));
}

TEST_CASE("data: what does not fit is left out, and that is said") {
  Data data;
  for (int i = 0; i < 20; ++i) data.text("member" + std::to_string(i), std::string(kMaxTextBytes, 'x'));
  data.number("n", 1);  // this one still fits
  const std::string json = data.json();
  CHECK(json.size() <= kMaxDataBytes);
  CHECK(json.ends_with(R"("n":1,"cut":true})"));
  CHECK_NOTHROW(model::json_parse(json, "data"));
  // Control characters are six bytes each.
  CHECK(Data().text("a", std::string(kMaxTextBytes, '\1')).json().size() < kMaxDataBytes);
}

TEST_CASE("types: those that there are, and no other") {
  for (const std::string_view type : kTypes) CHECK(is_type(type));
  for (const std::string_view type : {"", "sandbox", "sandbox.", "sandbox.created ", "SANDBOX.CREATED", "*"}) CHECK_FALSE(is_type(type));
}
