// Writes the seed corpora of the protocol's harnesses: `make-seeds tests/fuzz/corpus`. The same bytes on every machine. For
// each message: valid ones, a truncated one, one with a byte too many, and one with every byte in the middle turned over.
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>

#include "generate.hpp"
#include "protocol/frame.hpp"

namespace {
using namespace svm::protocol;
using namespace svm::protocol::test;

class Corpus {
 public:
  explicit Corpus(std::filesystem::path folder) : folder_(std::move(folder)) { std::filesystem::create_directories(folder_); }

  void add(const std::string& name, const std::string& bytes) const {
    std::ofstream file(folder_ / name, std::ios::binary);
    file << bytes;
    if (!file.flush()) throw std::runtime_error("cannot write " + (folder_ / name).string());
  }
  void add_with_damage(const std::string& name, const std::string& prefix, const std::string& bytes) const {
    add(name, prefix + bytes);
    add(name + "-cut", prefix + bytes.substr(0, bytes.size() / 2));
    add(name + "-long", prefix + bytes + "x");
    std::string turned = bytes;
    turned[bytes.size() / 2] = static_cast<char>(~turned[bytes.size() / 2]);
    add(name + "-turned", prefix + turned);
  }
  template <class T>
  void add_message(const std::string& name, const std::string& prefix = "") const {
    add_with_damage(name, prefix, encoded(make<T>(1)));
    for (uint64_t seed = 2; seed <= 3; ++seed) add(name + "-" + std::to_string(seed), prefix + encoded(make<T>(seed)));
  }

 private:
  std::filesystem::path folder_;
};

std::string byte(int value) { return std::string(1, static_cast<char>(value)); }

void frames(const Corpus& corpus) {
  std::string all;
  for (uint8_t type = 1; type <= 12; ++type)
    encode_frame(all, static_cast<FrameType>(type), type <= 3 ? 0 : type, "payload " + std::to_string(type),
                 type == static_cast<uint8_t>(FrameType::data) ? DataKind::err : DataKind::bytes);
  for (const int piece : {1, 7, 12, 20, 255}) corpus.add_with_damage("all-" + std::to_string(piece), byte(piece), all);
  const auto header = [](uint8_t type, uint32_t stream, uint32_t size, uint8_t kind) {
    char bytes[kHeaderBytes];
    encode_header(bytes, static_cast<FrameType>(type), stream, size, static_cast<DataKind>(kind));
    return byte(5) + std::string(bytes, sizeof bytes);
  };
  corpus.add("type", header(200, 1, 0, 0));
  corpus.add("kind", header(6, 1, 4, 200));
  corpus.add("gap", header(6, 1, 8, 4));
  corpus.add("kind-elsewhere", header(5, 1, 4, 1));
  corpus.add("empty-data", header(6, 1, 0, 0));
  corpus.add("large-data", header(6, 1, kMaxData + 1, 0));
  corpus.add("large", header(5, 1, kMaxPayload + 1, 0));
  corpus.add("no-stream", header(5, 0, 0, 0));
  corpus.add("stream", header(1, 1, 0, 0));
  std::string reserved = header(5, 1, 0, 0);
  reserved[7] = 1;
  corpus.add("reserved", reserved);
}

void agent_messages(const Corpus& corpus) {
  corpus.add_message<Hello>("hello", byte(0));
  const std::string request = byte(1);
  corpus.add_message<ExecRequest>("exec", request);
  corpus.add_message<ReadRequest>("read", request);
  corpus.add_message<WriteRequest>("write", request);
  corpus.add_message<StatRequest>("stat", request);
  corpus.add_message<ListRequest>("list", request);
  corpus.add_message<GlobRequest>("glob", request);
  corpus.add_message<SearchRequest>("search", request);
  corpus.add_message<ReplaceRequest>("replace", request);
  corpus.add_message<MoveRequest>("move", request);
  corpus.add_message<ChmodRequest>("chmod", request);
  corpus.add_message<MkdirRequest>("mkdir", request);
  corpus.add_message<RemoveRequest>("remove", request);
  corpus.add_message<SymlinkRequest>("symlink", request);
  corpus.add_message<LinkRequest>("link", request);
  corpus.add_message<WatchRequest>("watch", request);
  corpus.add_message<PackRequest>("pack", request);
  corpus.add_message<UnpackRequest>("unpack", request);
  corpus.add_message<DialRequest>("dial", request);
  corpus.add_message<ListeningRequest>("listening", request);
  corpus.add_message<AttachRequest>("attach", request);
  corpus.add_message<ProcessListRequest>("process-list", request);
  corpus.add_message<ProcessSignalRequest>("process-signal", request);
  corpus.add_message<ConsoleRequest>("console", request);
  corpus.add_message<StatsRequest>("stats", request);
  corpus.add("unknown", request + std::string("\xff\xff", 2));
  corpus.add("no-op", request + "x");
  Hello groups = make<Hello>(1);
  groups.groups.assign(kMaxGroups + 1, 1);
  corpus.add("hello-groups", byte(0) + encoded(groups));
  Hello relative = make<Hello>(1);
  relative.home = "home";
  corpus.add("hello-relative", byte(0) + encoded(relative));
  ExecRequest both = make<ExecRequest>(1);
  both.argv = {"true"};
  both.shell = "true";
  corpus.add("exec-both", request + encoded(both));
  ExecRequest equals = make<ExecRequest>(1);
  equals.env = {{"A=B", "c"}};
  corpus.add("exec-equals", request + encoded(equals));
}

/// The first byte is the size of the pieces it comes in.
void trees(const Corpus& corpus) {
  std::string all;
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    TreeEntry entry = make<TreeEntry>(seed);
    if (entry.size > 0) entry.size = seed;
    encode(all, entry);
    all.append(static_cast<size_t>(entry.size), 'c');
  }
  for (const int piece : {1, 9, 255}) corpus.add_with_damage("all-" + std::to_string(piece), byte(piece), all);
  for (const std::string name : {"../up", "/absolute", "a//b", ".", ""}) {
    TreeEntry entry = make<TreeEntry>(1);
    entry.path = name;
    corpus.add("path-" + std::to_string(name.size()), byte(255) + encoded(entry));
  }
}

void host_messages(const Corpus& corpus) {
  corpus.add_message<Ready>("ready", byte(0));
  corpus.add_message<StepFailure>("failure", byte(1));
  corpus.add_message<Result>("result", byte(2));
  corpus.add_message<ExecResult>("exec-result", byte(3));
  corpus.add_message<FileInfo>("file-info", byte(4));
  corpus.add_message<Entry>("entry", byte(5));
  corpus.add_message<ProcessInfo>("process", byte(6));
  corpus.add("processes", byte(6) + encoded(make<ProcessInfo>(1)) + encoded(make<ProcessInfo>(2)));
  corpus.add("entries", byte(5) + encoded(make<Entry>(1)) + encoded(make<Entry>(2)) + encoded(make<Entry>(3)));
  corpus.add("result-ok", byte(2) + encoded(Result{svm::Code::ok, 0, "", "body"}));
  corpus.add("result-ok-message", byte(2) + encoded(Result{svm::Code::ok, 0, "text", ""}));
  corpus.add("result-control", byte(2) + encoded(Result{svm::Code::io, 5, "a\nb", ""}));
  corpus.add("result-code", byte(2) + encoded(Result{static_cast<svm::Code>(7), 0, "", ""}));
  corpus.add("result-again", byte(2) + encoded(Result{svm::Code::again, 0, "", ""}));
  corpus.add_message<Listeners>("listeners", byte(100));
  corpus.add_message<TreeSummary>("tree-summary", byte(101));
  corpus.add_message<WatchEvent>("watch-event", byte(102));
  corpus.add_message<DiskStats>("disk-stats", byte(103));
  corpus.add_message<SearchMatch>("match", byte(104));
  corpus.add_message<SearchSummary>("search-summary", byte(105));
  corpus.add_message<Replaced>("replaced", byte(106));
  corpus.add("bit", byte(27));
  corpus.add("no-bit", byte(28));
}

void launch_messages(const Corpus& corpus) {
  corpus.add_message<Init>("init");
  corpus.add_message<Online>("online");
  corpus.add_message<Spawn>("spawn");
  corpus.add_message<Refused>("refused");
  corpus.add_message<Kill>("kill");
  corpus.add_message<Claim>("claim");
  corpus.add_message<Claimed>("claimed");
  corpus.add_message<Adopted>("adopted");
  corpus.add_message<Expire>("expire");
  corpus.add_message<Exited>("exited");
  corpus.add("unknown", byte(7) + "x");
  Spawn spawn = make<Spawn>(1);
  spawn.name = "../up";
  corpus.add("spawn-name", encoded(spawn));
  spawn = make<Spawn>(1);
  spawn.hostname = "a b";
  corpus.add("spawn-hostname", encoded(spawn));
  spawn = make<Spawn>(1);
  spawn.root = RootKind::directory;
  spawn.rootfs = "relative";
  corpus.add("spawn-rootfs", encoded(spawn));
}
}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: make-seeds DIRECTORY\n", stderr);
    return 2;
  }
  try {
    const std::filesystem::path corpus = argv[1];
    frames(Corpus(corpus / "frame"));
    agent_messages(Corpus(corpus / "agent_messages"));
    host_messages(Corpus(corpus / "host_messages"));
    trees(Corpus(corpus / "tree"));
    launch_messages(Corpus(corpus / "launch_messages"));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
