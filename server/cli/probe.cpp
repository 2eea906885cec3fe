// stacyvm probe: what this host can enforce.
#include <rapidjson/document.h>

#include <cstdio>
#include <memory>

#include "commands.hpp"
#include "output.hpp"

namespace cli {
namespace {

int print_table(const char* report) {
  rapidjson::Document document;
  document.Parse(report);
  if (document.HasParseError() || !document.IsObject() || !document.HasMember("rows")) {
    complain("the host report cannot be read");
    return kExitOurs;
  }
  for (const auto& row : document["rows"].GetArray()) {
    const bool ok = row["ok"].GetBool();
    std::string note;
    if (row.HasMember("value")) note += std::to_string(row["value"].GetInt64());
    if (row.HasMember("detail")) note += (note.empty() ? "" : ", ") + std::string(row["detail"].GetString());
    if (!ok) note += (note.empty() ? "" : ", ") + std::string(row["error"].GetString());
    std::printf("%-28s %-4s %s%s%s\n", row["name"].GetString(), ok ? "yes" : "no", row["meaning"].GetString(), note.empty() ? "" : ": ", note.c_str());
  }
  return 0;
}

}  // namespace

Command add_probe(CLI::App& app) {
  auto json = std::make_shared<bool>(false);
  CLI::App* verb = app.add_subcommand("probe", "Tell what this host can enforce, found by trying it");
  verb->add_flag("--json", *json, "The report as JSON");
  return [json] {
    char* report = nullptr;
    stacyvm_error* error = nullptr;
    if (stacyvm_host_report(&report, &error) != STACYVM_OK) {
      complain(stacyvm_error_message(error));
      stacyvm_error_free(error);
      return kExitOurs;
    }
    const int status = *json ? (std::puts(report) >= 0 ? 0 : kExitOurs) : print_table(report);
    stacyvm_free(report);
    return status;
  };
}

}  // namespace cli
