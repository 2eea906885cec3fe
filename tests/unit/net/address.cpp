#include <doctest/doctest.h>

#include "core/error.hpp"
#include "net/server_address.hpp"

using namespace svm;

namespace {

Code refused(const std::string& location) {
  try {
    (void)net::parse_server_address(location, "state_dir");
  } catch (const Error& error) {
    CHECK(error.facts().front() == std::pair<std::string, std::string>("field", "state_dir"));
    CHECK(error.message().find("secret") == std::string::npos);
    return error.code();
  }
  return Code::ok;
}

}  // namespace

TEST_CASE("a directory is no address") {
  for (const char* directory : {"", "/var/lib/x", "state", "://x", "a b://c", "http:/x", "./http://x"}) CHECK_FALSE(net::has_scheme(directory));
  for (const char* address : {"http://a", "HTTPS://a", "ftp://a", "x+y-z.1://"}) CHECK(net::has_scheme(address));
}

TEST_CASE("addresses of servers") {
  const auto address = net::parse_server_address("HTTPS://Example.org:8443/a/b//", "f");
  CHECK(address.base == "https://Example.org:8443/a/b");
  CHECK(address.host == "Example.org");
  CHECK_FALSE(address.loopback);
  for (const char* mine : {"http://localhost", "http://127.0.0.1:7423", "http://127.9.9.9/", "http://[::1]:1", "http://LOCALHOST:65535"}) CHECK(net::parse_server_address(mine, "f").loopback);
  CHECK(net::parse_server_address("http://[2001:db8::1]", "f").host == "[2001:db8::1]");
  CHECK_FALSE(net::parse_server_address("http://localhost.example.org", "f").loopback);
}

TEST_CASE("what is no address of a server") {
  CHECK(refused("ftp://a") == Code::unsupported);
  for (const char* wrong : {"http://", "http:///x", "http://:80", "http://a:0", "http://a:65536", "http://a:x", "http://a:", "http://user:secret@a", "http://a?secret=1", "http://a#x", "http://a b", "http://a\n",
                            "http://\xc3\xa9", "http://a\\b"})
    CHECK_MESSAGE(refused(wrong) == Code::invalid, wrong);
  const std::string start = "http://a/";
  CHECK(refused(start + std::string(net::kMaxAddressBytes - start.size(), 'x')) == Code::ok);
  CHECK(refused(start + std::string(net::kMaxAddressBytes - start.size() + 1, 'x')) == Code::invalid);
}
