#include "sandbox_list.hpp"

#include "../text/text.hpp"

namespace cli {
namespace {

constexpr size_t kPage = 1000;

}  // namespace

std::vector<Page> list_sandboxes(stacyvm::Session& session, const ListFilter& filter) {
  std::string body = "{\"limit\":" + std::to_string(kPage);
  for (size_t i = 0; i < filter.labels.size(); ++i) body += (i == 0 ? ",\"label\":[" : ",") + text::json_string(filter.labels[i]);
  if (!filter.labels.empty()) body += ']';
  if (!filter.state.empty()) body += ",\"state\":" + text::json_string(filter.state);
  if (!filter.owner.empty()) body += ",\"owner_id\":" + text::json_string(filter.owner);
  std::string after;
  std::vector<Page> pages;
  do {
    Page page;
    page.json = session.call("sandbox.list", {}, body + (after.empty() ? "" : ",\"after\":" + text::json_string(after)) + '}');
    page.records = records_of(page.json);
    pages.push_back(std::move(page));
    if (!pages.back().records.empty()) after = member(pages.back().records.back(), "id");
  } while (pages.back().records.size() == kPage);
  return pages;
}

std::string joined(const std::vector<Page>& pages) {
  std::string out = "[";
  for (const Page& page : pages) {
    if (page.records.empty()) continue;
    const size_t first = page.json.find('['), last = page.json.rfind(']');
    if (out.size() > 1) out += ',';
    out += page.json.substr(first + 1, last - first - 1);
  }
  return out + ']';
}

}  // namespace cli
