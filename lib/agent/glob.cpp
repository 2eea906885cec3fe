#include "agent/glob.hpp"

#include <algorithm>

namespace svm::agent {
namespace {

/// Matches one byte against the set that starts after '['. False when the set is not closed; `end` is past its ']'.
bool match_set(std::string_view pattern, size_t at, unsigned char c, size_t& end, bool& matched) noexcept {
  bool negate = false;
  if (at < pattern.size() && (pattern[at] == '!' || pattern[at] == '^')) {
    negate = true;
    ++at;
  }
  matched = false;
  for (bool first = true; at < pattern.size(); first = false) {
    if (pattern[at] == ']' && !first) {
      end = at + 1;
      matched = matched != negate;
      return true;
    }
    const auto item = [&](size_t& i) noexcept {
      if (pattern[i] == '\\' && i + 1 < pattern.size()) ++i;
      return static_cast<unsigned char>(pattern[i++]);
    };
    const unsigned char low = item(at);
    unsigned char high = low;
    if (at + 1 < pattern.size() && pattern[at] == '-' && pattern[at + 1] != ']') {
      ++at;
      high = item(at);
    }
    if (low <= c && c <= high) matched = true;
  }
  return false;
}

/// Matches one byte against the pattern element at `at`, which is not '*'. `next` is where the following element starts.
bool match_one(std::string_view pattern, size_t at, char c, size_t& next) noexcept {
  next = at + 1;
  switch (pattern[at]) {
    case '?': return true;
    case '[': {
      size_t end = 0;
      bool matched = false;
      if (!match_set(pattern, at + 1, static_cast<unsigned char>(c), end, matched)) return c == '[';
      next = end;
      return matched;
    }
    case '\\':
      if (at + 1 < pattern.size()) {
        next = at + 2;
        return pattern[at + 1] == c;
      }
      return c == '\\';
    default: return pattern[at] == c;
  }
}

}  // namespace

bool match_component(std::string_view pattern, std::string_view name) noexcept {
  // On a mismatch only the last star needs to take one byte more: earlier ones could not do better.
  size_t p = 0, n = 0, star = std::string_view::npos, star_name = 0;
  while (n < name.size()) {
    size_t next = 0;
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      star_name = n;
    } else if (p < pattern.size() && match_one(pattern, p, name[n], next)) {
      p = next;
      ++n;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      n = ++star_name;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

bool has_wildcard(std::string_view component) noexcept {
  for (size_t i = 0; i < component.size(); ++i) {
    if (component[i] == '*' || component[i] == '?') return true;
    if (component[i] == '\\') {
      ++i;
    } else if (component[i] == '[') {
      size_t end = 0;
      bool matched = false;
      if (match_set(component, i + 1, 0, end, matched)) return true;
    }
  }
  return false;
}

std::string unescape(std::string_view component) {
  std::string name;
  for (size_t i = 0; i < component.size(); ++i) {
    if (component[i] == '\\' && i + 1 < component.size()) ++i;
    name += component[i];
  }
  return name;
}

std::optional<Glob> Glob::parse(std::string_view pattern) {
  Glob glob;
  while (!pattern.empty()) {
    const size_t end = pattern.find('/');
    const std::string_view component = pattern.substr(0, end);
    pattern.remove_prefix(end == std::string_view::npos ? pattern.size() : end + 1);
    if (component.empty() || component == ".") continue;
    if (component.size() > kMaxGlobComponent) return std::nullopt;
    if (!has_wildcard(component)) {
      const std::string name = unescape(component);
      if (name == ".." || name == ".") return std::nullopt;
    }
    if (component == "**" && !glob.components_.empty() && glob.components_.back() == "**") continue;
    glob.components_.emplace_back(component);
  }
  if (glob.components_.size() > UINT16_MAX) return std::nullopt;
  return glob;
}

void Glob::add(States& states, size_t state) const {
  for (;; ++state) {
    const auto value = static_cast<uint16_t>(state);
    const auto at = std::lower_bound(states.begin(), states.end(), value);
    if (at == states.end() || *at != value) states.insert(at, value);
    // ** also stands for no directory at all, unless it is the end of the pattern: there it wants an entry.
    if (!is_any_depth(state) || state + 1 == components_.size()) return;
  }
}

Glob::States Glob::start() const {
  States states;
  if (!components_.empty()) add(states, 0);
  return states;
}

Glob::Step Glob::advance(const States& states, std::string_view name) const {
  Step step;
  for (const uint16_t state : states) {
    if (is_any_depth(state)) {
      add(step.states, state);
      if (state + 1u == components_.size()) step.matches = true;
    } else if (match_component(components_[state], name)) {
      if (state + 1u == components_.size()) {
        step.matches = true;
      } else {
        add(step.states, state + 1u);
        add(step.link_states, state + 1u);
      }
    }
  }
  return step;
}

std::optional<std::vector<std::string>> Glob::literals(const States& states) const {
  std::vector<std::string> names;
  for (const uint16_t state : states) {
    if (has_wildcard(components_[state])) return std::nullopt;
    std::string name = unescape(components_[state]);
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(std::move(name));
  }
  return names;
}

}  // namespace svm::agent
