#include "location.hpp"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <stdexcept>

namespace cli {
namespace {

constexpr const char* kDefault = "http://127.0.0.1:7423";
constexpr size_t kMaxKey = 4096;  // bytes, as the library has it

std::string or_variable(const std::string& given, const char* name) {
  if (!given.empty()) return given;
  const char* value = std::getenv(name);
  return value ? value : "";
}

std::string absolute(const std::string& path) { return std::filesystem::absolute(path).lexically_normal().string(); }

std::string first_line(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string line;
  line.resize(kMaxKey + 2);  // and "\r\n"
  file.read(line.data(), static_cast<std::streamsize>(line.size()));
  if (file.bad() || (file.gcount() == 0 && !file.eof())) throw std::runtime_error("cannot read the API key from " + path + ": " + std::strerror(errno));
  line.resize(static_cast<size_t>(file.gcount()));
  const size_t end = line.find_first_of("\r\n");
  if (end == line.npos && line.size() > kMaxKey) throw std::runtime_error("the first line of " + path + " has more than 4096 bytes: it is no API key");
  if (end != line.npos) line.resize(end);
  if (line.empty()) throw std::runtime_error("the first line of " + path + " is empty: it is no API key");
  return line;
}

}  // namespace

std::string Location::shown() const {
  const size_t scheme = address.find("://");
  if (scheme == address.npos) return address;
  const size_t host = scheme + 3, end = std::min(address.find_first_of("/?#", host), address.size());
  const size_t at = address.rfind('@', end);
  return at == address.npos || at < host ? address : address.substr(0, host) + address.substr(at + 1);
}

bool Location::has_path() const {
  const size_t slash = address.find('/', address.find("://") + 3);
  return slash != address.npos && slash + 1 < address.size();
}

Location location_of(const ClientOptions& options) {
  Location location;
  location.address = or_variable(options.server, "STACYVM_URL");
  if (location.address.empty()) location.address = kDefault;
  location.is_server = location.address.find("://") != std::string::npos;
  if (!location.is_server) {
    location.address = absolute(location.address);
    if (!options.api_key.empty() || !options.api_key_file.empty())
      throw std::invalid_argument("an API key is for a server, and " + location.address + " is a directory: who may use it, its permissions say");
    if (!options.ca_file.empty()) throw std::invalid_argument("--ca-file is for a server, and " + location.address + " is a directory");
    return location;
  }
  location.api_key = options.api_key_file.empty() ? or_variable(options.api_key, "STACYVM_API_KEY") : first_line(options.api_key_file);
  location.ca_file = or_variable(options.ca_file, "STACYVM_CA_FILE");
  if (!location.ca_file.empty()) location.ca_file = absolute(location.ca_file);
  return location;
}

}  // namespace cli
