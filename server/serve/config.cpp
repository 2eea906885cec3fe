#include "config.hpp"

#include <arpa/inet.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <sstream>
#include <stdexcept>

#include "../text/text.hpp"

extern char** environ;

namespace serve {
namespace {

constexpr const char* kFile = "stacyvm.yaml";
constexpr size_t kMaxFile = 1u << 20;  // bytes
constexpr size_t kMaxApiKey = 4096;    // bytes, as the library has it
// What nobody writes: a YAML alias may stand for what it is in, or for a list of lists of aliases.
constexpr size_t kMaxValues = 10'000;
constexpr unsigned kMaxDepth = 8;
constexpr const char* kVariables = "STACYVM_";

/// A message is one line, whatever a file has for a key.
std::string one_line(std::string text) {
  std::replace_if(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < ' ' || c == '\x7f'; }, '?');
  return text;
}

[[noreturn]] void fail(const std::string& where, const std::string& key, const std::string& why) { throw std::runtime_error(one_line(where + ": " + key + ": " + why)); }

/// One value, wherever it was written.
struct Value {
  std::string where;               // "stacyvm.yaml:7", "STACYVM_SERVER_PORT"
  std::string text;
  std::vector<std::string> items;  // where a list is expected
};

uint32_t number(const std::string& key, const Value& value, uint32_t least, uint32_t most) {
  uint32_t out = 0;
  const auto [end, error] = std::from_chars(value.text.data(), value.text.data() + value.text.size(), out);
  if (error != std::errc() || end != value.text.data() + value.text.size() || out < least || out > most)
    fail(value.where, key, "give a number from " + std::to_string(least) + " to " + std::to_string(most));
  return out;
}

/// "10s", "1m30s", "500ms", "0s".
int64_t milliseconds(const std::string& key, const Value& value) {
  constexpr int64_t kMost = 3'600'000;
  int64_t total = 0;
  std::string_view rest = value.text;
  bool any = rest == "0";
  if (any) rest = {};
  while (!rest.empty()) {
    int64_t count = 0;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), count);
    rest.remove_prefix(static_cast<size_t>(end - rest.data()));
    const size_t unit_end = std::min(rest.find_first_of("0123456789"), rest.size());
    const std::string_view unit = rest.substr(0, unit_end);
    rest.remove_prefix(unit_end);
    const int64_t factor = unit == "ms" ? 1 : unit == "s" ? 1'000 : unit == "m" ? 60'000 : unit == "h" ? 3'600'000 : 0;
    if (error != std::errc() || factor == 0 || count < 0 || count > kMost / factor) fail(value.where, key, "give a duration like 10s, at most 1h");
    total += count * factor;
    any = true;
  }
  if (!any || total > kMost) fail(value.where, key, "give a duration like 10s, at most 1h");
  return total;
}

/// Such as can be given in a header, and as the command line takes it.
void check_api_key(const std::string& key, const Value& value) {
  const bool visible = std::all_of(value.text.begin(), value.text.end(), [](char c) { return c > ' ' && c < 0x7f; });
  if (!visible || value.text.empty() || value.text.size() > kMaxApiKey) fail(value.where, key, "give visible ASCII, 1 to 4,096 bytes, or leave it out");
}

void check_origin(const std::string& key, const Value& value, const std::string& origin) {
  if (origin == "*") return;
  const size_t scheme = origin.starts_with("http://") ? 7 : origin.starts_with("https://") ? 8 : 0;
  if (scheme == 0 || origin.size() == scheme || origin.find_first_of("/?# ", scheme) != origin.npos) fail(value.where, key, "give origins like https://app.example, without a path, or *");
}

/// Keys of the server itself.
struct Key {
  const char* name;
  bool list;
  std::function<void(Config&, const std::string& key, const Value&)> take;
};

const std::vector<Key>& keys() {
  static const auto text = [](std::string Config::*member) {
    return [member](Config& config, const std::string&, const Value& value) { config.*member = value.text; };
  };
  static const std::vector<Key> all = {
      {"server.host", false, [](Config& c, const std::string& k, const Value& v) {
         if (v.text.empty()) fail(v.where, k, "give an address");
         c.host = v.text;
       }},
      {"server.port", false, [](Config& c, const std::string& k, const Value& v) { c.port = static_cast<uint16_t>(number(k, v, 0, 65'535)); }},
      {"server.cors_allowed_origins", true, [](Config& c, const std::string& k, const Value& v) {
         for (const std::string& origin : v.items) check_origin(k, v, origin);
         c.cors_allowed_origins = v.items;
       }},
      {"server.tls.cert_file", false, text(&Config::tls_cert_file)},
      {"server.tls.key_file", false, text(&Config::tls_key_file)},
      {"server.max_connections", false, [](Config& c, const std::string& k, const Value& v) { c.max_connections = number(k, v, 1, 65'536); }},
      {"server.max_connections_per_address", false, [](Config& c, const std::string& k, const Value& v) { c.max_connections_per_address = number(k, v, 1, 65'536); }},
      {"server.shutdown_timeout", false, [](Config& c, const std::string& k, const Value& v) { c.shutdown_timeout_ms = milliseconds(k, v); }},
      {"server.state_dir", false, text(&Config::state_dir)},
      {"auth.api_key", false, [](Config& c, const std::string& k, const Value& v) { check_api_key(k, v); c.api_key = v.text; }},
      {"auth.admin_api_key", false, [](Config& c, const std::string& k, const Value& v) { check_api_key(k, v); c.admin_api_key = v.text; }},
      {"logging.level", false, [](Config& c, const std::string& k, const Value& v) {
         if (v.text != "error" && v.text != "warn" && v.text != "info" && v.text != "debug") fail(v.where, k, "give error, warn, info or debug");
         c.log_level = v.text;
       }},
  };
  return all;
}

/// Keys that the library reads, with the kind of their JSON: 's' text, 'n' number.
struct Setting {
  const char *section, *name;
  char kind;
};
constexpr Setting kSettings[] = {
    {"defaults", "image", 's'},         {"defaults", "provider", 's'},     {"defaults", "memory_mb", 'n'},      {"defaults", "vcpus", 'n'},
    {"defaults", "disk_mb", 'n'},       {"defaults", "pids", 'n'},         {"defaults", "ttl", 's'},            {"defaults", "max_ttl", 's'},
    {"defaults", "default_exec_timeout", 's'}, {"defaults", "max_exec_timeout", 's'}, {"defaults", "max_sandboxes", 'n'}, {"defaults", "max_sandboxes_per_owner", 'n'},
};

bool is_section(const std::string& key) {
  const auto holds = [&](const std::string& name) { return name.starts_with(key + '.'); };
  return key == "images" || key == "images.aliases" || std::any_of(keys().begin(), keys().end(), [&](const Key& each) { return holds(each.name); }) ||
         std::any_of(std::begin(kSettings), std::end(kSettings), [&](const Setting& each) { return key == each.section; });
}

/// What JSON takes for one that is not negative and has no exponent.
bool is_json_number(std::string_view text) {
  const auto digits = [](std::string_view part) { return !part.empty() && part.find_first_not_of("0123456789") == part.npos; };
  const size_t point = std::min(text.find('.'), text.size());
  const std::string_view whole = text.substr(0, point);
  return digits(whole) && (whole.size() == 1 || whole[0] != '0') && (point == text.size() || digits(text.substr(point + 1)));
}

std::string variable_of(std::string key) {
  for (char& c : key) c = c == '.' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return kVariables + key;
}

/// Every value of the file by its dotted key; the aliases apart, for their names have dots themselves.
struct File {
  std::map<std::string, Value> values;
  std::map<std::string, Value> aliases;
  bool has_aliases = false;
  size_t nodes = 0;
};

/// `line`: of the key, for an empty value is where the next one begins.
void flatten(const YAML::Node& node, const std::string& key, const std::string& name, int line, File& out, unsigned depth = 0) {
  const std::string where = name + ':' + std::to_string(line);
  if (depth > kMaxDepth || ++out.nodes > kMaxValues) fail(where, "the file", "has more in it than there are keys");
  if (key == "images.aliases") out.has_aliases = true;
  if (key == "images.aliases" && node.IsMap()) {
    for (const auto& each : node) {
      if (!each.first.IsScalar() || !each.second.IsScalar()) fail(where, key, "give names of images");
      if (!out.aliases.emplace(each.first.Scalar(), Value{where, each.second.Scalar(), {}}).second) fail(where, key + '.' + each.first.Scalar(), "is there twice");
    }
  } else if (node.IsMap()) {
    for (const auto& each : node) {
      if (!each.first.IsScalar()) fail(where, key.empty() ? "the file" : key, "has a key that is no word");
      flatten(each.second, key.empty() ? each.first.Scalar() : key + '.' + each.first.Scalar(), name, each.first.Mark().line + 1, out, depth + 1);
    }
  } else if (node.IsNull() && is_section(key)) {
    // All that is in it is commented out.
  } else if (key.empty()) {
    if (!node.IsNull()) fail(where, "the file", "is no mapping of keys to values");
  } else {
    Value value{where, node.IsScalar() ? node.Scalar() : "", {}};
    if (node.IsSequence())
      for (const auto& each : node) {
        if (!each.IsScalar()) fail(where, key, "has an item that is no word");
        value.items.push_back(each.Scalar());
      }
    else if (node.IsScalar())
      value.items.push_back(node.Scalar());
    if (!out.values.emplace(key, std::move(value)).second) fail(where, key, "is there twice");
  }
}

/// Only whether there is a document. (YAML::LoadAll does not return from some texts: it meets the same empty document again and again.)
struct Nothing final : YAML::EventHandler {
  using Mark = YAML::Mark;
  using Anchor = YAML::anchor_t;
  void OnDocumentStart(const Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const Mark&, Anchor) override {}
  void OnAlias(const Mark&, Anchor) override {}
  void OnScalar(const Mark&, const std::string&, Anchor, const std::string&) override {}
  void OnSequenceStart(const Mark&, const std::string&, Anchor, YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const Mark&, const std::string&, Anchor, YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}
};

bool has_second_document(const std::string& yaml) {
  std::istringstream stream(yaml);
  YAML::Parser parser(stream);
  Nothing nothing;
  return parser.HandleNextDocument(nothing) && parser.HandleNextDocument(nothing);
}

/// One text, and no list of one.
bool is_single(const Value& value) { return value.items.size() == 1 && value.items[0] == value.text; }

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> items;
  std::istringstream stream(text);
  for (std::string item; std::getline(stream, item, ',');) items.push_back(item);
  return items;
}

}  // namespace

std::string default_state_dir() {
  if (::geteuid() == 0) return "/var/lib/stacyvm";
  if (const char* state = std::getenv("XDG_STATE_HOME"); state && state[0] == '/') return std::string(state) + "/stacyvm";
  const char* home = std::getenv("HOME");
  if (!home || home[0] != '/') throw std::runtime_error("server.state_dir: give a directory: neither XDG_STATE_HOME nor HOME says where one could be");
  return std::string(home) + "/.local/state/stacyvm";
}

Config parse_config(const std::string& yaml, const std::string& name, const std::map<std::string, std::string>& environment) {
  File file;
  try {
    if (has_second_document(yaml)) throw std::runtime_error(name + ": has more than one document");
    const YAML::Node document = YAML::Load(yaml);
    flatten(document, "", name, document.Mark().line + 1, file);
  } catch (const YAML::Exception& error) {
    throw std::runtime_error(one_line(name + ':' + std::to_string(error.mark.line + 1) + ": " + error.msg));
  }
  // The environment goes over the file.
  const auto from_environment = [&](const std::string& key, bool list) {
    const auto found = environment.find(variable_of(key));
    if (found == environment.end() || found->second.empty()) return;
    file.values[key] = {found->first, found->second, list ? split(found->second) : std::vector{found->second}};
  };
  for (const Key& key : keys()) from_environment(key.name, key.list);
  for (const Setting& setting : kSettings) from_environment(std::string(setting.section) + '.' + setting.name, false);

  Config config;
  for (const Key& key : keys()) {
    const auto found = file.values.find(key.name);
    if (found == file.values.end()) continue;
    if (!key.list && !is_single(found->second)) fail(found->second.where, key.name, "give one value");
    key.take(config, key.name, found->second);
    file.values.erase(found);
  }
  std::string defaults;
  for (const Setting& setting : kSettings) {
    const std::string key = std::string(setting.section) + '.' + setting.name;
    const auto found = file.values.find(key);
    if (found == file.values.end()) continue;
    const Value& value = found->second;
    if (!is_single(value)) fail(value.where, key, "give one value");
    if (setting.kind == 'n' && !is_json_number(value.text)) fail(value.where, key, "give a number");
    defaults += (defaults.empty() ? "" : ",") + text::json_string(setting.name) + ':' + (setting.kind == 'n' ? value.text : text::json_string(value.text));
    file.values.erase(found);
  }
  if (!file.values.empty()) fail(file.values.begin()->second.where, file.values.begin()->first, "no such key");
  if (config.tls_cert_file.empty() != config.tls_key_file.empty()) throw std::runtime_error("server.tls: give cert_file and key_file, or neither");
  // What the clients of 0.15 ask for where nobody says another image.
  if (!file.has_aliases) file.aliases["alpine:latest"].text = "host";
  std::string aliases;
  for (const auto& [alias, value] : file.aliases)
    if (value.text != "host" && !value.text.starts_with('/')) fail(value.where, "images.aliases." + alias, "give host or an absolute path");
  for (const auto& [alias, value] : file.aliases) aliases += (aliases.empty() ? "" : ",") + text::json_string(alias) + ':' + text::json_string(value.text);
  config.settings = "{\"defaults\":{" + defaults + "},\"images\":{\"aliases\":{" + aliases + "}}}";
  return config;
}

Config load_config(const std::string& file) {
  std::map<std::string, std::string> environment;
  for (char** each = environ; *each; ++each) {
    const std::string_view text = *each;
    const size_t equals = text.find('=');
    if (text.starts_with(kVariables) && equals != text.npos) environment.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  const std::string name = file.empty() ? kFile : file;
  struct stat info {};
  if (file.empty() && ::stat(kFile, &info) != 0 && errno == ENOENT) return parse_config("", kFile, environment);
  std::ifstream stream(name, std::ios::binary);
  std::string yaml(kMaxFile + 1, '\0');
  stream.read(yaml.data(), static_cast<std::streamsize>(yaml.size()));
  if (!stream.is_open() || stream.bad()) throw std::runtime_error(name + ": cannot be read: " + std::strerror(errno));
  yaml.resize(static_cast<size_t>(stream.gcount()));
  if (yaml.size() > kMaxFile) throw std::runtime_error(name + ": is larger than 1 MiB");
  return parse_config(yaml, name, environment);
}

bool is_loopback_name(std::string_view name) {
  in_addr four{};
  // A name may begin as such an address does, and stand for any.
  if (::inet_pton(AF_INET, std::string(name).c_str(), &four) == 1) return ntohl(four.s_addr) >> 24 == 127;
  return name == "localhost" || name.ends_with(".localhost") || name == "::1" || name == "[::1]";
}

void check_exposure(const Config& config) {
  if (is_loopback_name(config.host) || !config.api_key.empty() || !config.admin_api_key.empty()) return;
  throw std::runtime_error("server.host is " + config.host + ", which others can reach, and there is no key: set auth.api_key (STACYVM_AUTH_API_KEY), or listen at 127.0.0.1");
}

}  // namespace serve
