// All sandboxes that pass a filter.
#pragma once
#include <stacyvm/stacyvm.hpp>

#include <string>
#include <vector>

#include "records.hpp"

namespace cli {

struct ListFilter {
  std::vector<std::string> labels;  // KEY=VALUE
  std::string state, owner;         // empty: any
};

/// As the library answered it.
struct Page {
  std::string json;
  std::vector<Record> records;
};

std::vector<Page> list_sandboxes(stacyvm::Session& session, const ListFilter& filter);
/// One JSON array of all.
std::string joined(const std::vector<Page>& pages);

}  // namespace cli
