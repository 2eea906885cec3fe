#include <doctest/doctest.h>

#include <string>

#include "agent/failure.hpp"
#include "agent/glob.hpp"
#include "agent/process_tree.hpp"
#include "agent/users.hpp"

using namespace svm;
using namespace svm::agent;

TEST_CASE("ids are plain decimal numbers below 2^32 - 1") {
  CHECK(parse_id("0") == 0u);
  CHECK(parse_id("0012") == 12u);
  CHECK(parse_id("4294967294") == 4294967294u);
  for (const char* bad : {"", "4294967295", "99999999999", "-1", "+1", " 1", "1 ", "0x1", "a"}) CHECK_FALSE(parse_id(bad).has_value());
}

TEST_CASE("passwd and group lines") {
  const std::string passwd =
      "root:x:0:0:root:/root:/bin/sh\nbroken:x:1\n:x:5:5::/:\nbad:x:abc:1::/:\nweb:x:33:34:a,b:/var/www:/bin/false\n"
      "web:x:99:99::/other:\nlast:x:7:8::/l:";
  CHECK(find_user(passwd, "root")->uid == 0);
  CHECK(find_user(passwd, "web")->uid == 33);
  CHECK(find_user(passwd, "web")->gid == 34);
  CHECK(find_user(passwd, "web")->home == "/var/www");
  CHECK(find_user(passwd, 33u)->name == "web");
  CHECK(find_user(passwd, "last")->uid == 7);
  for (const char* none : {"broken", "bad", "", "x", "roo"}) CHECK_FALSE(find_user(passwd, none).has_value());
  CHECK_FALSE(find_user(passwd, 5u).has_value());
  const std::string group = "root:x:0:\nadm:x:4:web,root\nshort:x\nwww:x:33:web\ndup:x:33:web\nx:x:9:webx,xweb\n";
  CHECK(find_group(group, "adm") == 4u);
  CHECK_FALSE(find_group(group, "short").has_value());
  CHECK(groups_of(group, "web", 10) == std::vector<uint32_t>{4, 33});
  CHECK(groups_of(group, "web", 1) == std::vector<uint32_t>{4});
  CHECK(groups_of(group, "", 10).empty());
}

TEST_CASE("user specs") {
  CHECK(parse_user_spec("a")->user == "a");
  CHECK(parse_user_spec("a")->group.empty());
  CHECK(parse_user_spec("1:2")->group == "2");
  for (const char* bad : {"", ":", "a:", ":b", "a:b:c"}) CHECK_FALSE(parse_user_spec(bad).has_value());
}

TEST_CASE("one component") {
  struct Row { const char* pattern; const char* name; bool match; };
  const Row rows[] = {
      {"*", "", true}, {"*", ".hidden", true}, {"a*", "a", true}, {"a*c", "abc", true}, {"a*c", "abcd", false},
      {"*a*b*", "xxaxxbxx", true}, {"*a*b", "ab", true}, {"*ab", "aab", true}, {"?", "", false}, {"?", "x", true}, {"a?c", "abc", true},
      {"[abc]", "b", true}, {"[abc]", "d", false}, {"[a-c]", "b", true}, {"[!a-c]", "b", false}, {"[^a-c]", "d", true},
      {"[]]", "]", true}, {"[!]]", "]", false}, {"[a-]", "-", true}, {"[-a]", "-", true}, {"[", "[", true}, {"[a", "[a", true},
      {"[\\]]", "]", true}, {"\\*", "*", true}, {"\\*", "x", false}, {"\\", "\\", true}, {"a\\?", "a?", true}, {"", "", true}, {"", "a", false},
      {"[a]*[b]", "axxb", true}, {"*.[ch]", "x.c", true}, {"*.[ch]", "x.cc", false}, {"[\xfe-\xff]", "\xff", true},
  };
  for (const Row& row : rows) {
    CAPTURE(row.pattern);
    CAPTURE(row.name);
    CHECK(match_component(row.pattern, row.name) == row.match);
  }
  // Many stars cost pattern x name steps, not an exponential number.
  std::string stars;
  for (int i = 0; i < 100; ++i) stars += "a*";
  CHECK_FALSE(match_component(stars + "b", std::string(255, 'a')));
}

TEST_CASE("wildcards are told from plain names") {
  for (const char* wild : {"*", "a?", "[a]", "x[!b]y"}) CHECK(has_wildcard(wild));
  for (const char* plain : {"", "a", "\\*", "[", "[a", "\\[a]", "a]"}) CHECK_FALSE(has_wildcard(plain));
  CHECK(unescape("\\*a\\\\") == "*a\\");
}

namespace {
/// Whether `path` (absolute, all components directories but the last) matches.
bool matches(const char* pattern, std::string path) {
  const auto glob = Glob::parse(pattern);
  REQUIRE(glob.has_value());
  Glob::States states = glob->start();
  path.erase(0, 1);
  for (;;) {
    const size_t slash = path.find('/');
    const Glob::Step step = glob->advance(states, path.substr(0, slash));
    if (slash == std::string::npos) return step.matches;
    states = step.states;
    path.erase(0, slash + 1);
  }
}
}  // namespace

TEST_CASE("whole paths") {
  struct Row { const char* pattern; const char* path; bool match; };
  const Row rows[] = {
      {"/a/b", "/a/b", true}, {"/a/b", "/a", false}, {"/a/b", "/a/b/c", false}, {"/*/b", "/x/b", true}, {"/**/b", "/b", true},
      {"/**/b", "/x/y/z/b", true}, {"/**/b", "/x/bb", false}, {"/a/**", "/a/x", true}, {"/a/**", "/a/x/y", true}, {"/a/**", "/a", false},
      {"/**", "/x", true}, {"/a/**/b/**/c", "/a/b/c", true}, {"/a/**/b/**/c", "/a/1/b/2/3/c", true}, {"/a/**/b/**/c", "/a/1/c", false},
      {"/**/**/x", "/x", true}, {"//a/./b/", "/a/b", true}, {"/a**/b", "/axx/b", true}, {"/a**/b", "/a/x/b", false},
  };
  for (const Row& row : rows) {
    CAPTURE(row.pattern);
    CAPTURE(row.path);
    CHECK(matches(row.pattern, row.path) == row.match);
  }
  for (const char* bad : {"/..", "/a/../b", "/\\.\\."}) CHECK_FALSE(Glob::parse(bad).has_value());
  CHECK(Glob::parse("/" + std::string(kMaxGlobComponent, 'a')).has_value());
  CHECK_FALSE(Glob::parse("/" + std::string(kMaxGlobComponent + 1, 'a')).has_value());
  CHECK(Glob::parse("/")->start().empty());
  // ** does not follow a link; a component that names it does.
  const auto any = Glob::parse("/**/x");
  CHECK(any->advance(any->start(), "link").link_states.empty());
  const auto named = Glob::parse("/*/x");
  CHECK_FALSE(named->advance(named->start(), "link").link_states.empty());
}

TEST_CASE("process stat lines, whatever the name holds") {
  const auto stat = parse_process_stat("42 (a) R 1 (x) S 7 42 41 0 -1 4 0 0 0 0 1 2 0 0 20 0 1 0 7654321 100");
  REQUIRE(stat.has_value());
  CHECK(stat->pid == 42);
  CHECK(stat->parent == 7);
  CHECK(stat->session == 41);
  CHECK(stat->state == 'S');
  CHECK(stat->started == 7'654'321);
  for (const char* bad : {"", "42", "42 (a", "42 (a)", "42 (a) S", "42 (a) S 1 2", "x (a) S 1 2 3", "42 (a) S -1 2 3", "42 (a) S 1 99999999999 3", "42 (a) S 1 2 3", "42 (a) S 1 2 3 0 -1 4 0 0 0 0 1 2 0 0 20 0 1 0",
                          "42 (a) S 1 2 3 0 -1 4 0 0 0 0 1 2 0 0 20 0 1 0 x"})
    CHECK_FALSE(parse_process_stat(bad).has_value());
}

TEST_CASE("messages are one line of printable ASCII of at most 512 bytes") {
  CHECK(printable("a\nb\\\xff", 100) == "a\\x0ab\\x5c\\xff");
  for (size_t limit = 3; limit < 40; ++limit) {
    const std::string cut = printable(std::string(20, '\n') + "plain text that is long", limit);
    CHECK(cut.size() <= limit);
    CHECK(cut.substr(cut.size() - 3) == "...");
  }
  CHECK(printable("exact", 5) == "exact");
  CHECK(printable("exact", 4) == "e...");
  const protocol::Result long_one = failure(ENOENT, "stat", std::string(4095, '\n'));
  CHECK(long_one.message.size() <= kMaxMessageBytes);
  CHECK(long_one.message.substr(long_one.message.size() - 30).find(": no such file or directory") != std::string::npos);
  CHECK(failure(ENOENT, "stat", "/x").message == "stat /x: no such file or directory");
  CHECK(error_text(99999) == "error 99999");
}
