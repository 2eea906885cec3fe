#include "options.hpp"

namespace cli {

CLI::Option* add_text(CLI::App& verb, const char* names, std::string& value, const char* help) {
  return verb.add_option(names, value, help)->type_name("TEXT");
}

CLI::Option* add_list(CLI::App& verb, const char* names, std::vector<std::string>& values, const char* help) {
  return verb.add_option_function<std::string>(names, [&values](const std::string& value) { values.push_back(value); }, help)
      ->type_name("TEXT")->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)->trigger_on_parse();
}

CLI::Option* add_words(CLI::App& verb, const char* name, std::vector<std::string>& values, const char* help) {
  return verb.add_option(name, values, help)->type_name("TEXT");
}

}  // namespace cli
