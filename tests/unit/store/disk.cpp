// A full disk: an error, nothing lost, and work goes on when there is room again.
#include <fcntl.h>
#include <sys/mount.h>

#include "core/fd.hpp"
#include "model/limits.hpp"
#include "store/sqlite/open.hpp"
#include "support.hpp"

using namespace svm;
using namespace svm::store;
using namespace svm::store::test;

namespace {

/// A tmpfs of that size on a directory; good is false, with the reason printed, where this process may not mount.
class SmallDisk {
 public:
  explicit SmallDisk(const char* options) {
    good = mount("tmpfs", directory.path().c_str(), "tmpfs", 0, options) == 0;
    if (!good) skip("full disk", "this process may not mount: " + errno_text(errno));
  }
  ~SmallDisk() {
    if (good) umount2(directory.path().c_str(), MNT_DETACH);
  }
  const std::string& path() const { return directory.path(); }
  Directory directory;
  bool good;
};

/// Takes all that is left, as another program would: what is freed later is taken by the next call.
void fill(const SmallDisk& disk) {
  const Fd file(open((disk.path() + "/filler").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  REQUIRE(file);
  const std::string block(4096, 'f');
  ssize_t written;
  while ((written = ::write(file.get(), block.data(), block.size())) > 0) {
  }
  REQUIRE(written < 0);
  REQUIRE(errno == ENOSPC);
}

bool full(Code code) { return code == Code::limit || code == Code::io; }

}  // namespace

TEST_CASE("a disk too small for the first open") {
  const SmallDisk disk("size=32k,mode=0700");
  if (!disk.good) return;
  const Code code = code_of([&] { open_sqlite(disk.path(), false); });
  CHECK_MESSAGE(full(code), code_name(code));
  // No half-made database is left to confuse the next open.
  CHECK(access((disk.path() + "/stacyvm.db").c_str(), F_OK) != 0);
  CHECK(access((disk.path() + "/stacyvm.db.new").c_str(), F_OK) != 0);
  REQUIRE(mount(nullptr, disk.path().c_str(), nullptr, MS_REMOUNT, "size=4m") == 0);
  CHECK(code_of([&] { open_sqlite(disk.path(), false); }) == Code::ok);
}

TEST_CASE("a disk that fills up") {
  size_t at_least = 0, at_most = 0;
  SUBCASE("at the first row") {}
  SUBCASE("at some row") {
    at_least = 10;
    at_most = 10'000;
  }
  const SmallDisk disk("size=1m,mode=0700");
  if (!disk.good) return;
  std::vector<std::string> written;
  {
    const auto store = open_sqlite(disk.path(), false);
    if (at_most == 0) fill(disk);
    Code code = Code::ok;
    for (int i = 0; i < 10'000 && code == Code::ok; ++i) {
      auto record = sandbox("sb-" + std::to_string(i));
      record.reason = std::string(2000, 'r');
      code = code_of([&] { store->insert(record, kRoom); });
      if (code == Code::ok) written.push_back(record.id);
    }
    CHECK_MESSAGE(full(code), code_name(code));
    REQUIRE(written.size() >= at_least);
    REQUIRE(written.size() <= at_most);
    // Reads go on, and the failed insertion is not counted.
    CHECK(store->live_count() == written.size());
    for (const std::string& id : written) REQUIRE(store->get(id));
    CHECK_FALSE(store->get("sb-" + std::to_string(written.size())));
    std::vector<model::AuditRow> rows;
    for (int i = 0; i < 50; ++i) rows.push_back(audit_row(std::string(4096, 'o')));
    const Code audit = code_of([&] { store->append_audit(rows, true); });
    CHECK_MESSAGE(full(audit), code_name(audit));
    CHECK(rows[0].seq == 0);
    CHECK(store->last_audit_seq() == 0);

    REQUIRE(mount(nullptr, disk.path().c_str(), nullptr, MS_REMOUNT, "size=8m") == 0);
    auto record = sandbox("sb-later");
    store->insert(record, kRoom);
    store->append_audit(rows, true);
    CHECK(rows[0].seq == 1);
    CHECK(store->live_count() == written.size() + 1);
  }
  const auto opened = open_database(disk.path(), false, schema_steps());
  CHECK(opened.connection->pragma_text("integrity_check") == "ok");
}

TEST_CASE("on a full disk a sandbox can still be recorded as destroyed") {
  int count = 0;
  size_t metadata_bytes = 0;
  SUBCASE("one") { count = 1; }
  SUBCASE("forty") { count = 40; }
  SUBCASE("two thousand") { count = 2000; }
  SUBCASE("the largest rows") {
    count = 20;
    metadata_bytes = model::kMaxMetadataValueBytes;
  }
  const SmallDisk disk("size=32m,mode=0700");
  if (!disk.good) return;
  std::vector<model::SandboxRecord> records;
  {
    const auto store = open_sqlite(disk.path(), false);
    for (int i = 0; i < count; ++i) {
      records.push_back(sandbox("sb-" + std::to_string(i)));
      auto& record = records.back();
      for (size_t n = 0; metadata_bytes != 0 && n < model::kMaxMetadata; ++n) {
        std::string key = std::to_string(n);
        key.resize(model::kMaxMetadataKeyBytes, 'k');
        record.metadata[key] = std::string(metadata_bytes, 'v');
      }
      store->insert(record, kRoom);
      record.enforced = {"memory", "pids"};
      record.state = model::State::running;
      REQUIRE(store->update(record, model::State::creating));
    }
    fill(disk);
    // Rows of other kinds take what is left in the files, and nothing of what is held.
    Code code = Code::ok;
    while (code == Code::ok) {
      std::vector<model::AuditRow> rows{audit_row(std::string(3000, 'o'))};
      code = code_of([&] { store->append_audit(rows, false); });
    }
    CHECK_MESSAGE(full(code), code_name(code));
    // So do sandboxes, each of which is held its own room.
    for (code = Code::ok; code == Code::ok;) {
      auto more = sandbox("sb-more-" + std::to_string(records.size()));
      code = code_of([&] { store->insert(more, kRoom); });
      if (code == Code::ok) records.push_back(more);
    }
    CHECK_MESSAGE(full(code), code_name(code));
    CHECK(store->live_count() == records.size());
    for (auto& record : records) {
      const model::State before = record.state;
      record.state = model::State::destroying;
      record.reason = "requested";
      REQUIRE(store->update(record, before));
      std::vector<model::AuditRow> rows{audit_row(record.id)};
      (void)code_of([&] { store->append_audit(rows, false); });  // may find room in what an update left over
      fill(disk);
      record.state = model::State::destroyed;
      record.destroyed_ms = record.expires_ms;
      record.reason = std::string(200, 'r');
      REQUIRE(store->update(record, model::State::destroying));
    }
    CHECK(store->live_count() == 0);
  }
  REQUIRE(mount(nullptr, disk.path().c_str(), nullptr, MS_REMOUNT, "size=64m") == 0);
  const auto store = open_sqlite(disk.path(), false);
  for (const auto& record : records) {
    const auto found = store->get(record.id);
    REQUIRE(found);
    REQUIRE(found->state == model::State::destroyed);
    REQUIRE(found->metadata == record.metadata);
  }
  // With room again, what was used is held again: the next full disk is met as this one was.
  auto next = sandbox("sb-next");
  store->insert(next, kRoom);
  fill(disk);
  next.state = model::State::destroyed;
  CHECK(store->update(next, model::State::creating));
}
