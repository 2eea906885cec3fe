#include "scenarios.hpp"

#include <stdlib.h>

#include <filesystem>
#include <functional>
#include <memory>

#include "tar_file.hpp"

namespace bench {
namespace {

constexpr int64_t kIdleMs = 20;
constexpr const char* kTrue = "/bin/true";
constexpr double kSpawnTarget = 1.0, kExecTarget = 1.2, kFileTarget = 1.0;  // ratios; GB/s

/// `ours` and `other` in turn, each first in every second round.
void interleave(Row& row, int count, int64_t gap_ms, const std::function<void()>& ours, const std::function<void()>& other) {
  const auto one = [&](std::vector<double>& values, const std::function<void()>& act) {
    if (gap_ms > 0) sleep_ms(gap_ms);
    values.push_back(microseconds(act));
  };
  for (int i = 0; i < count; ++i) {
    if (other && i % 2 == 1) one(row.others, other);
    one(row.ours, ours);
    if (other && i % 2 == 0) one(row.others, other);
  }
}

Program bwrap() {
  return Program({"/usr/bin/bwrap", "--unshare-all", "--ro-bind", "/usr", "/usr", "--symlink", "usr/bin", "/bin", "--symlink", "usr/lib", "/lib",
                  "--symlink", "usr/lib64", "/lib64", "--proc", "/proc", "--dev", "/dev", "true"});
}

}  // namespace

double microseconds(const std::function<void()>& act) {
  const int64_t start = now_ns();
  act();
  return static_cast<double>(now_ns() - start) / 1000;
}

void measure_spawn(const Context& context, const Library& library, const std::string& regime, int count) {
  Row row{context.identity, "spawn", regime, "bwrap", kSpawnTarget};
  Row parts[] = {{context.identity, "- spawn", regime}, {context.identity, "- first exec", regime}, {context.identity, "- destroy", regime}};
  const Program other = bwrap();
  std::string why;
  const bool compare = other.works(why);
  if (!compare) {
    row.other.clear();
    write_note(context.out, context.identity + ": spawn is not compared with bwrap: " + why);
  }
  const auto ours = [&] {
    int64_t times[4] = {now_ns()};
    Sandbox sandbox(library);
    times[1] = now_ns();
    sandbox.exec(kTrue);
    times[2] = now_ns();
    sandbox.destroy();
    times[3] = now_ns();
    for (int i = 0; i < 3; ++i) parts[i].ours.push_back(static_cast<double>(times[i + 1] - times[i]) / 1000);
  };
  ours();  // the first one starts what is started once
  for (Row& part : parts) part.ours.clear();
  interleave(row, count, regime == "tight" ? 0 : kIdleMs, ours, compare ? [&other] { other.run(); } : std::function<void()>());
  write_row(context.out, row);
  for (const Row& part : parts) write_row(context.out, part);
}

void measure_exec(const Context& context, const Library& library) {
  Sandbox sandbox(library);
  const Program other({kTrue});
  const auto ours = [&] { sandbox.exec(kTrue); };
  ours();
  for (const bool idle : {false, true}) {
    Row row{context.identity, "exec", idle ? "idle" : "tight", "posix_spawn", kExecTarget};
    interleave(row, idle ? context.counts.exec_idle : context.counts.exec_tight, idle ? kIdleMs : 0, ours, [&] { other.run(); });
    write_row(context.out, row);
  }
  sandbox.destroy();
}

void measure_files(const Context& context, const Library& library) {
  constexpr uint64_t kPiece = 1'000'000;
  const std::string piece(kPiece, 'x');
  const uint64_t times = context.counts.file_bytes / kPiece;
  Row write{context.identity, "file write", "-", "", kFileTarget, Unit::gigabytes_per_second}, read{context.identity, "file read", "-", "", kFileTarget, Unit::gigabytes_per_second};
  const auto gigabytes_per_second = [&](double us) { return static_cast<double>(times * kPiece) / (us * 1000); };
  for (int i = 0; i < context.counts.files; ++i) {
    Sandbox sandbox(library);
    write.ours.push_back(gigabytes_per_second(microseconds([&] { sandbox.write_file("/workspace/large", piece.data(), kPiece, times); })));
    uint64_t came = 0;
    read.ours.push_back(gigabytes_per_second(microseconds([&] { came = sandbox.read_file("/workspace/large"); })));
    if (came != times * kPiece) throw std::runtime_error("file read: not all came");
    sandbox.destroy();
  }
  write_row(context.out, write);
  write_row(context.out, read);
}

void measure_unpack(const Context& context, const Library& library) {
  namespace fs = std::filesystem;
  const std::string tar = context.state_dir + "/root.tar";
  write_root_tar(tar, context.counts.tar_files);
  Row row{context.identity, "spawn from tar", std::to_string(context.counts.tar_files) + " files", "tar -x", 0};
  std::string memory = "/dev/shm/stacyvm-bench-XXXXXX";
  if (!::mkdtemp(memory.data())) throw std::runtime_error("mkdtemp in /dev/shm");
  const Program other({"/usr/bin/tar", "-xf", tar, "-C", memory});
  const auto clear = [&] {
    for (const auto& entry : fs::directory_iterator(memory)) fs::remove_all(entry);
  };
  try {
    for (int i = 0; i < context.counts.unpack; ++i) {
      Sandbox* made = nullptr;
      row.ours.push_back(microseconds([&] { made = new Sandbox(library, tar.c_str()); }));
      const std::unique_ptr<Sandbox> sandbox(made);
      sandbox->destroy();
      row.others.push_back(microseconds([&] { other.run(); }));
      clear();
    }
  } catch (...) {
    fs::remove_all(memory);
    throw;
  }
  fs::remove_all(memory);
  write_row(context.out, row);
}

}  // namespace bench
