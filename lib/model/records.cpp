#include "model/records.hpp"

#include <array>

namespace svm::model {
namespace {
constexpr std::array<std::string_view, 5> kNames = {"creating", "running", "destroying", "destroyed", "error"};
}  // namespace

std::string_view state_name(State state) noexcept {
  const auto index = static_cast<size_t>(state);
  return index < kNames.size() ? kNames[index] : "error";
}

bool state_from_name(std::string_view name, State& out) noexcept {
  for (size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i] != name) continue;
    out = static_cast<State>(i);
    return true;
  }
  return false;
}

}  // namespace svm::model
