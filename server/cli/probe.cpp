// stacyvm probe: what this host can enforce.
#include <rapidjson/document.h>
#include <stacyvm/stacyvm.hpp>

#include <algorithm>
#include <memory>
#include <stdexcept>

#include "commands.hpp"
#include "output.hpp"

namespace cli {
namespace {

struct Row {
  std::string name, gives, note;
  bool ok;
};

std::string text_of(const rapidjson::Value& row, const char* member) {
  const auto found = row.FindMember(member);
  return found != row.MemberEnd() && found->value.IsString() ? found->value.GetString() : "";
}

std::vector<Row> read_report(const std::string& report) {
  rapidjson::Document document;
  document.Parse(report.c_str());
  if (document.HasParseError() || !document.IsObject() || !document.HasMember("rows") || !document["rows"].IsArray())
    throw std::runtime_error("the host report is not of a form that this program knows; try stacyvm probe --json");
  std::vector<Row> rows;
  for (const rapidjson::Value& entry : document["rows"].GetArray()) {
    if (!entry.IsObject()) continue;
    const auto ok = entry.FindMember("ok"), value = entry.FindMember("value");
    const bool works = ok != entry.MemberEnd() && ok->value.IsBool() && ok->value.GetBool();
    Row row{text_of(entry, "name"), text_of(entry, "meaning"), {}, works};
    const std::string number = value != entry.MemberEnd() && value->value.IsInt64() ? std::to_string(value->value.GetInt64()) : "";
    for (const std::string& part : {number, text_of(entry, "detail"), text_of(entry, "error")}) {
      if (part.empty()) continue;
      if (!row.note.empty()) row.note += ", ";
      row.note += part;
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

std::string table(const std::vector<Row>& rows) {
  size_t width = 0;
  for (const Row& row : rows) width = std::max(width, row.name.size());
  std::string out;
  for (const Row& row : rows) {
    out += row.name + std::string(width - row.name.size(), ' ') + (row.ok ? "  yes  " : "  no   ") + row.gives;
    if (!row.note.empty()) out += " (" + row.note + ')';
    out += '\n';
  }
  return out;
}

}  // namespace

Verb add_probe(CLI::App& app) {
  auto json = std::make_shared<bool>(false);
  CLI::App* verb = app.add_subcommand("probe", "Tell what this host can enforce, found by trying it");
  verb->add_flag("--json", *json, "The report as JSON");
  return {verb, false, [json](const CommandWords&) {
            const std::string report = stacyvm::host_report();
            return print(*json ? report + '\n' : table(read_report(report)));
          }};
}

}  // namespace cli
