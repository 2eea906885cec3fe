// What HTTP adds, and how much of it a server takes.
#include <poll.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <thread>
#include <vector>

#include "http_client.hpp"
#include "scenarios.hpp"

namespace bench {
namespace {

constexpr double kAddedTarget = 300;          // microseconds on loopback
constexpr double kListTarget = 33'800;        // requests per second: twice what the system we replace answers on two processors
constexpr double kFreshTarget = 100'000;      // microseconds for a fresh GET among open streams
constexpr unsigned kCallers = 8;              // who create at the same time
constexpr const char* kSandboxes = "/api/v1/sandboxes";
constexpr const char* kExec = R"({"command":"/bin/true","mode":"argv"})";

/// The first "id" in an answer.
std::string id_in(const std::string& json) {
  const size_t at = json.find("\"id\":\"");
  if (at == std::string::npos) throw std::runtime_error("no id in " + json);
  return json.substr(at + 6, json.find('"', at + 6) - at - 6);
}

/// Answers per second when `connections` always have one request under way.
double rate(uint16_t port, const std::string& request, unsigned connections, double seconds) {
  std::vector<std::unique_ptr<HttpClient>> clients;
  std::vector<pollfd> wait;
  for (unsigned i = 0; i < connections; ++i) {
    clients.push_back(std::make_unique<HttpClient>(port));
    wait.push_back({clients.back()->fd(), POLLIN, 0});
    clients.back()->send(request);
  }
  size_t answers = 0;
  const int64_t start = now_ns(), end = start + static_cast<int64_t>(seconds * 1e9);
  int64_t now = start;
  for (; now < end; now = now_ns()) {
    if (::poll(wait.data(), wait.size(), 1'000) <= 0) throw std::runtime_error("no answer comes");
    for (unsigned i = 0; i < connections; ++i) {
      if (wait[i].revents == 0) continue;
      (void)clients[i]->receive();
      ++answers;
      clients[i]->send(request);
    }
  }
  for (const auto& client : clients) (void)client->receive();
  return static_cast<double>(answers) / (static_cast<double>(now - start) / 1e9);
}

/// From connecting to the answer, while so many streams are open.
std::vector<double> fresh(uint16_t port, unsigned streams, int count) {
  std::vector<std::unique_ptr<HttpClient>> open;
  for (unsigned i = 0; i < streams; ++i) {
    open.push_back(std::make_unique<HttpClient>(port));
    open.back()->send(get("/api/v1/events"));
    open.back()->receive_until("\r\n\r\n");
  }
  std::vector<double> times;
  for (int i = 0; i < count; ++i) times.push_back(microseconds([&] { (void)HttpClient(port).call(get(kSandboxes)); }));
  return times;
}

/// Sandboxes per second that callers create and destroy side by side.
double creates(uint16_t port, unsigned each) {
  std::vector<std::thread> callers;
  std::atomic<bool> failed = false;
  const int64_t start = now_ns();
  for (unsigned i = 0; i < kCallers; ++i)
    callers.emplace_back([&] {
      try {
        HttpClient client(port);
        for (unsigned k = 0; k < each; ++k) (void)client.call(del(std::string(kSandboxes) + '/' + id_in(client.call(post(kSandboxes, "{}")))));
      } catch (const std::exception&) {
        failed = true;
      }
    });
  for (std::thread& caller : callers) caller.join();
  if (failed) throw std::runtime_error("creating over HTTP failed");
  return kCallers * each / (static_cast<double>(now_ns() - start) / 1e9);
}

/// A sandbox of the server's. It would outlive the server, so it is thrown away here.
class Served {
 public:
  explicit Served(uint16_t port) : port_(port), path_(std::string(kSandboxes) + '/' + id_in(HttpClient(port).call(post(kSandboxes, "{}")))) {}
  ~Served() {
    try {
      (void)HttpClient(port_).call(del(path_));
    } catch (const std::exception& error) {
      std::fprintf(stderr, "bench: %s is left: %s\n", path_.c_str(), error.what());
    }
  }
  Served(const Served&) = delete;
  Served& operator=(const Served&) = delete;
  const std::string& path() const noexcept { return path_; }

 private:
  const uint16_t port_;
  const std::string path_;
};

}  // namespace

void measure_http(const Context& context, const Library& library, const std::string& server) {
  const auto row = [&](const std::string& what, const std::string& regime, std::vector<double> ours, Unit unit, double target) {
    Row made{context.identity, what, regime, "", target, unit};
    made.ours = std::move(ours);
    return made;
  };
  const ServerProcess process(server, context.state_dir + "/served");
  HttpClient client(process.port());
  const Served served(process.port());
  const std::string exec = post(served.path() + "/exec", kExec);
  Sandbox sandbox(library);
  Row compared{context.identity, "http: exec", "tight", "in process", 0, Unit::microseconds};
  for (int i = -context.counts.exec_tight / 10; i < context.counts.exec_tight / 4 + 1; ++i) {
    const double ours = microseconds([&] { (void)client.call(exec); }), other = microseconds([&] { sandbox.exec("/bin/true"); });
    if (i < 0) continue;  // warm
    compared.ours.push_back(ours);
    compared.others.push_back(other);
  }
  write_row(context.out, compared);
  write_row(context.out, row("http: exec", "adds", {summarize(compared.ours).median - summarize(compared.others).median}, Unit::microseconds, kAddedTarget));
  sandbox.destroy();
  const double seconds = context.counts.live >= 1'000 ? 3 : 0.2;
  write_row(context.out, row("http: list", "16 clients", {rate(process.port(), get(kSandboxes), 16, seconds)}, Unit::per_second, kListTarget));
  write_row(context.out, row("http: list", "256 clients", {rate(process.port(), get(kSandboxes), 256, seconds)}, Unit::per_second, kListTarget));
  const int samples = std::min(context.counts.exec_tight, 200);
  for (const unsigned streams : {64u, 400u})
    write_row(context.out, row("http: fresh GET", std::to_string(streams) + " streams", fresh(process.port(), streams, samples), Unit::microseconds, kFreshTarget));
  write_row(context.out, row("http: creates", std::to_string(kCallers) + " callers", {creates(process.port(), std::max(1u, context.counts.live / 20))}, Unit::per_second, 0));
}

}  // namespace bench
