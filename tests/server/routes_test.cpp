// Which route a method and path stand for.
#include "serve/routes.hpp"

#include <doctest/doctest.h>

#include <set>
#include <string>

using serve::find_route, serve::Match;

namespace {

std::string operation(std::string_view method, std::string_view path) {
  const Match match = find_route(method, path);
  return match.route ? std::string(match.route->operation) : "none, but " + match.allowed;
}
std::string parameter(const Match& match, std::string_view name) {
  for (const auto& [each, value] : match.pairs)
    if (each == name) return value;
  return "none";
}

}  // namespace

TEST_CASE("every route is found by its own path, and by no other route's") {
  std::set<std::string> seen;
  for (const serve::Route& route : serve::routes()) {
    CHECK(seen.insert(std::string(route.method) + ' ' + std::string(route.path)).second);
    std::string path;
    bool inside = false;
    for (const char c : route.path) {
      if (c == '{') path += "value";
      inside = c == '{' || (inside && c != '}');
      if (!inside && c != '}') path += c;
    }
    const Match match = find_route(route.method, path);
    CHECK_MESSAGE(match.route == &route, route.method << ' ' << route.path);
    CHECK_FALSE(match.malformed);
    for (const auto& [name, value] : match.pairs) CHECK(value == "value");
    if (route.form == serve::Form::json && route.method == "GET") CHECK(find_route("HEAD", path).route == &route);
  }
}

TEST_CASE("paths") {
  CHECK(operation("GET", "/api/v1/sandboxes") == "sandbox.list");
  CHECK(operation("GET", "/api/v1/sandboxes/") == "sandbox.list");
  CHECK(operation("HEAD", "/api/v1/sandboxes") == "sandbox.list");
  CHECK(operation("GET", "/api/v1/sandboxes/sb-1/files/stat") == "file.stat");
  for (const char* none : {"", "/", "*", "/api", "/api/v1", "/api/v1/sandbox", "/API/v1/sandboxes", "/api/v1/sandboxes//", "//api/v1/sandboxes", "/api/v1//sandboxes", "/api/v1/sandboxes//exec",
                           "/api/v1/sandboxes/sb-1/none", "/api/v1/sandboxes/sb-1/files/stat/more", "/api/v1/../v1/sandboxes", "/api/v1/sandboxes/sb-1/files%2Fstat", "/api/v1/%73andboxes"})
    CHECK_MESSAGE(operation("GET", none) == "none, but ", std::string(none));
}

TEST_CASE("another method is told which there are") {
  CHECK(operation("PUT", "/api/v1/sandboxes") == "none, but POST, GET, HEAD, DELETE, OPTIONS");
  CHECK(operation("HEAD", "/api/v1/sandboxes/sb-1/exec") == "none, but POST, OPTIONS");
}

TEST_CASE("parameters are decoded, each by itself") {
  CHECK(parameter(find_route("GET", "/api/v1/sandboxes/sb-1"), "id") == "sb-1");
  CHECK(parameter(find_route("GET", "/api/v1/sandboxes/a%2Fb%20c"), "id") == "a/b c");
  CHECK(parameter(find_route("GET", "/api/v1/sandboxes/a+b"), "id") == "a+b");
  const Match two = find_route("GET", "/api/v1/sandboxes/x/processes/y%41");
  CHECK(parameter(two, "id") == "x");
  CHECK(parameter(two, "exec_id") == "yA");
  for (const char* bad : {"/api/v1/sandboxes/%", "/api/v1/sandboxes/%zz", "/api/v1/sandboxes/a%00b"}) {
    const Match match = find_route("GET", std::string(bad));
    CHECK_MESSAGE((match.route && match.malformed), std::string(bad));
  }
}
