// Glob patterns. The first line is the pattern, the second a path that is walked with it, as the agent walks directories.
#include "agent/glob.hpp"

#include <algorithm>

#include "harness.hpp"

using namespace svm::agent;

namespace {

bool sorted_without_repeats(const Glob::States& states) { return std::adjacent_find(states.begin(), states.end(), std::greater_equal<>()) == states.end(); }

/// Components of a path, with which the automaton and the plain matcher must agree.
void walk(const Glob& glob, std::string_view path) {
  Glob::States states = glob.start();
  while (!path.empty() && !states.empty()) {
    const size_t end = path.find('/');
    const std::string_view name = path.substr(0, end);
    path.remove_prefix(end == path.npos ? path.size() : end + 1);
    if (name.empty()) continue;
    const Glob::Step step = glob.advance(states, name);
    SVM_INVARIANT(sorted_without_repeats(step.states) && sorted_without_repeats(step.link_states));
    SVM_INVARIANT(std::includes(step.states.begin(), step.states.end(), step.link_states.begin(), step.link_states.end()));
    // Where only certain names can match, no other one does.
    if (const auto names = glob.literals(states); names && std::find(names->begin(), names->end(), name) == names->end())
      SVM_INVARIANT(!step.matches && step.states.empty());
    states = step.states;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view in = svm::fuzz::text(data, std::min<size_t>(size, 4096));  // a path's length: beyond, only time is found
  const size_t end = std::min(in.find('\n'), in.size());
  const std::string_view pattern = in.substr(0, end), path = in.substr(std::min(end + 1, in.size()));
  if (!has_wildcard(pattern)) {
    SVM_INVARIANT(match_component(pattern, unescape(pattern)));
    SVM_INVARIANT(match_component(pattern, path) == (path == unescape(pattern)));
  }
  if (match_component(pattern, path)) SVM_INVARIANT(match_component("*" + std::string(pattern), path));
  if (const auto glob = Glob::parse(pattern)) walk(*glob, path);
  return 0;
}
