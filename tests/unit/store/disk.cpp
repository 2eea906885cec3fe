// A full disk: an error, nothing lost, and work goes on when there is room again.
#include <sys/mount.h>

#include "core/fd.hpp"
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
  const char* options = nullptr;
  size_t at_least = 0;
  SUBCASE("at the first row") { options = "size=192k,mode=0700"; }
  SUBCASE("at some row") {
    options = "size=1m,mode=0700";
    at_least = 10;
  }
  const SmallDisk disk(options);
  if (!disk.good) return;
  std::vector<std::string> written;
  {
    const auto store = open_sqlite(disk.path(), false);
    Code code = Code::ok;
    for (int i = 0; i < 10'000 && code == Code::ok; ++i) {
      auto record = sandbox("sb-" + std::to_string(i));
      record.reason = std::string(2000, 'r');
      code = code_of([&] { store->insert(record, kRoom); });
      if (code == Code::ok) written.push_back(record.id);
    }
    CHECK_MESSAGE(full(code), code_name(code));
    REQUIRE(written.size() >= at_least);
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
  const SmallDisk disk("size=2m,mode=0700");
  if (!disk.good) return;
  const auto store = open_sqlite(disk.path(), false);
  std::vector<model::SandboxRecord> records;
  for (int i = 0; i < 30; ++i) {  // one page of the table holds them: a log is written back to where there is room only
    records.push_back(sandbox("sb-" + std::to_string(i)));
    store->insert(records.back(), kRoom);
  }
  // Something else takes what is left.
  {
    std::ofstream filler(disk.path() + "/filler", std::ios::binary);
    const std::string block(1024, 'f');
    while (filler.write(block.data(), static_cast<std::streamsize>(block.size())).flush()) {
    }
  }
  for (auto& record : records) {
    record.state = model::State::destroyed;
    REQUIRE(store->update(record, model::State::creating));
  }
  CHECK(store->live_count() == 0);
}
