#include "lab.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <thread>

namespace svm::test {

stacyvm::Spawn spawn_options() {
  stacyvm::Spawn spawn;
  spawn.provider = provider();
  return spawn;
}

stacyvm::Options instance_options() {
  stacyvm::Options options;
  options.state_dir = option("server");
  const std::string ca_file = option("ca-file");
  if (!ca_file.empty()) options.settings = R"({"remote":{"ca_file":")" + ca_file + "\"}}";
  return options;
}

stacyvm::SessionOptions session_options() {
  stacyvm::SessionOptions options;
  options.api_key = option("api-key");
  return options;
}

Lab::Lab(const stacyvm::Spawn& spawn, const stacyvm::Options& options) : vm(options), session(vm.session(session_options())), sandbox(session.spawn(spawn)) {}

int32_t code_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const stacyvm::Error& error) {
    return error.code();
  }
  return STACYVM_OK;
}

std::string details_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const stacyvm::Error& error) {
    return error.details();
  }
  return "";
}

std::string sh(stacyvm::Sandbox& sandbox, const std::string& text, const std::string& user) {
  auto exec = stacyvm::Exec::sh(text);
  exec.user = user;
  const stacyvm::ExecResult result = sandbox.exec(exec);
  INFO("command: ", text, "\nstderr: ", result.err);
  REQUIRE(result.exit_code == 0);
  return result.out;
}

bool enforces(stacyvm::Sandbox& sandbox, std::string_view what) {
  const std::string info = sandbox.info();
  const size_t list = info.find("\"enforced\":[");
  const size_t end = info.find(']', list);
  REQUIRE(list != info.npos);
  return std::string_view(info).substr(list, end - list).find('"' + std::string(what) + '"') != std::string_view::npos;
}

bool within(int milliseconds, const std::function<bool()>& condition) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(milliseconds);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

TemporaryDirectory::TemporaryDirectory() {
  std::string name = (std::filesystem::temp_directory_path() / "stacyvm-test-XXXXXX").string();
  if (!::mkdtemp(name.data()) || ::chmod(name.c_str(), 0755) != 0) throw std::runtime_error("no temporary directory");
  path_ = name;
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;  // a destructor has nobody to tell; the host's own cleaning takes it
  std::filesystem::remove_all(path_, ignored);
}

void write_host_file(const std::string& path, std::string_view bytes, unsigned mode) {
  std::ofstream(path, std::ios::binary) << bytes;
  if (::chmod(path.c_str(), mode) != 0) throw std::runtime_error("cannot write " + path);
}

std::string read_host_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + path);
  return {std::istreambuf_iterator<char>(file), {}};
}

unsigned processes_with(const std::string& marker) {
  unsigned count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const int fd = ::open((entry.path() / "cmdline").c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) continue;  // no process, or one that has ended meanwhile
    char text[4096];
    const ssize_t n = ::read(fd, text, sizeof text);
    ::close(fd);
    if (n > 0 && std::string_view(text, static_cast<size_t>(n)).find(marker) != std::string_view::npos) ++count;
  }
  return count;
}

namespace {

unsigned groups_that(const std::function<bool(std::string_view name)>& condition) {
  namespace fs = std::filesystem;
  unsigned count = 0;
  std::error_code error;
  for (fs::recursive_directory_iterator at("/sys/fs/cgroup", fs::directory_options::skip_permission_denied, error), end; !error && at != end; at.increment(error))
    if (at->is_directory(error) && condition(at->path().filename().native())) ++count;
  return count;
}

}  // namespace

unsigned groups_with(std::string_view text) {
  return groups_that([&](std::string_view name) { return name.find(text) != name.npos; });
}

unsigned groups_ending(std::string_view text) {
  return groups_that([&](std::string_view name) { return name.ends_with(text); });
}

std::string tool(const std::string& name) {
  const char* directory = std::getenv("SVM_TOOLS");
  if (!directory) throw std::runtime_error("SVM_TOOLS does not name the directory of the test programs");
  return read_host_file(std::string(directory) + '/' + name);
}

void install_tool(stacyvm::Sandbox& sandbox, const std::string& name) { sandbox.write_file("/tmp/" + name, tool(name), 0755); }

}  // namespace svm::test
