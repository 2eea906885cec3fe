// Glob patterns, without any I/O: what a pattern matches is decided here, what exists is found by glob_files.cpp. Fuzzed.
//
//   *      any bytes of one component, also a leading dot      ?  one byte
//   [set]  one byte of the set: a-z ranges, leading ! or ^ negates, a leading ] is literal; an unclosed [ is literal
//   \x     x itself                                            **  as a whole component: any number of directories
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace svm::agent {

inline constexpr size_t kMaxGlobComponent = 1024;  // bytes; a name has at most 255

/// Whether one component matches a whole name. At most pattern x name steps.
bool match_component(std::string_view pattern, std::string_view name) noexcept;
/// Whether the component can match other than exactly one name.
bool has_wildcard(std::string_view component) noexcept;
/// The one name a component without wildcards stands for.
std::string unescape(std::string_view component);

/// An absolute pattern as an automaton over path components. A directory is read once, however many ways lead to it.
class Glob {
 public:
  using States = std::vector<uint16_t>;  // sorted; which component must match next

  /// Nothing for a component that is "..", or longer than kMaxGlobComponent.
  static std::optional<Glob> parse(std::string_view pattern);

  /// States at the root directory. Empty: the pattern names nothing but "/".
  States start() const;
  struct Step {
    States states;        // for reading the entry as a directory; empty: nothing below can match
    States link_states;   // the same for a symbolic link to a directory: ** does not follow one
    bool matches = false; // the entry itself is an answer
  };
  Step advance(const States& states, std::string_view name) const;
  /// The only names that can match, where no active component has a wildcard; nothing: read the directory.
  std::optional<std::vector<std::string>> literals(const States& states) const;

 private:
  bool is_any_depth(size_t i) const noexcept { return components_[i] == "**"; }
  void add(States& states, size_t state) const;
  std::vector<std::string> components_;
};

}  // namespace svm::agent
