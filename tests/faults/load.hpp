// What a busy program does with the library until somebody ends it, and what it was told meanwhile: that must be true afterwards.
#pragma once
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "../contract/lab.hpp"

namespace svm::test {

struct Load {
  std::string state;     // directory
  std::string record;    // the file in which is said what was acknowledged, a line each, as soon as it was
  std::string marker;    // among the arguments of a process of each sandbox, followed by the sandbox's id
  uint32_t seed = 0;
  bool detached = false;
};

/// Opens the directory and works in it, in several threads. Opens it again where its launcher was killed meanwhile.
[[noreturn]] void work(const Load& load);

/// What a record says.
struct Acknowledged {
  std::map<std::string, std::string> sandboxes;         // that were given, by id: their name, and the key that they were asked for by
  std::set<std::string> ending, destroyed;              // whose end was asked for; and was said to be over
  std::map<std::string, std::string> execs;             // that have ended and were in the history: how
  std::map<std::string, std::string> background;        // that were in the history: in which sandbox
  std::map<int64_t, std::string> events;                // that were seen, as JSON
  std::vector<std::string> failures;                    // calls that failed as they may where something was killed
  std::vector<std::string> wrong;                       // what may never be
  void read(const std::string& record);
};

/// The spawn that is asked for by this key; always the same.
stacyvm::Spawn keyed(const std::string& key);

/// The text member of a JSON object that the library answered; "" when there is none.
std::string text_member(const std::string& json, const std::string& name);

}  // namespace svm::test
