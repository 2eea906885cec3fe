// Templates, and how many sandboxes an owner has.
#include "model/limits.hpp"
#include "support.hpp"

using namespace svm;
using namespace svm::store;
using namespace svm::store::test;

namespace {
model::TemplateRecord record(std::string tenant, std::string name, std::string image = "host") {
  model::TemplateRecord made;
  made.tenant_id = std::move(tenant);
  made.body.name = std::move(name);
  made.body.image = std::move(image);
  made.created_ms = 1000;
  made.updated_ms = 2000;
  return made;
}
}  // namespace

TEST_CASE("templates: a row is what it was, also after another open; of each tenant its own") {
  const Directory directory;
  model::TemplateRecord full = record("", "full", "/srv/root");
  full.body.setup = {"echo 'a\n\xc3\xa4'", "true"};
  full.body.env = {{"A", "\x01 b"}};
  full.body.metadata = {{"k", "v"}};
  full.body.memory_bytes = 64u << 20;
  full.body.milli_cpus = 250;
  full.body.ttl_ms = 1500;
  full.body.version = 7;
  full.body.pool_size = 3;
  {
    const auto store = open_sqlite(directory.path(), false);
    CHECK(store->insert_template(full));
    CHECK_FALSE(store->insert_template(record("", "full")));
    CHECK(store->insert_template(record("other", "full")));
    CHECK(store->insert_template(record("", "a")));
  }
  const auto store = open_sqlite(directory.path(), true);
  const auto found = store->get_template("", "full");
  REQUIRE(found);
  const model::Template& body = found->body;
  CHECK((body.name == "full" && body.image == full.body.image && body.setup == full.body.setup && body.env == full.body.env && body.metadata == full.body.metadata));
  CHECK((body.memory_bytes == full.body.memory_bytes && body.milli_cpus == 250 && body.ttl_ms == 1500 && body.version == 7 && body.pool_size == 3));
  CHECK((found->created_ms == 1000 && found->updated_ms == 2000));
  CHECK(store->get_template("other", "full")->body.image == "host");
  CHECK_FALSE(store->get_template("third", "full"));
  const auto all = store->templates("");
  REQUIRE(all.size() == 2);
  CHECK((all[0].body.name == "a" && all[1].body.name == "full"));
  CHECK(code_of([&] { store->insert_template(record("", "b")); }) == Code::unsupported);
}

TEST_CASE("templates: replaced as a whole but for when it was made; removed once") {
  const auto store = open_sqlite_memory();
  CHECK_FALSE(store->update_template(record("", "t")));
  auto first = record("", "t");
  first.body.description = "old";
  CHECK(store->insert_template(first));
  auto second = record("", "t", "new");
  second.created_ms = 5000;
  second.updated_ms = 6000;
  CHECK(store->update_template(second));
  const auto found = store->get_template("", "t");
  CHECK((found->body.image == "new" && found->body.description.empty() && found->created_ms == 1000 && found->updated_ms == 6000));
  CHECK_FALSE(store->remove_template("other", "t"));
  CHECK(store->remove_template("", "t"));
  CHECK_FALSE(store->remove_template("", "t"));
  CHECK_FALSE(store->get_template("", "t"));
}

TEST_CASE("templates: so many of a tenant, and not one more") {
  const auto store = open_sqlite_memory();
  for (uint32_t i = 0; i < model::kMaxTemplates; ++i) REQUIRE(store->insert_template(record("", "t" + std::to_string(i))));
  try {
    store->insert_template(record("", "more"));
    FAIL("one more was taken");
  } catch (const Error& error) {
    CHECK(error.code() == Code::limit);
    CHECK(error.facts() == Error::Facts{{"field", "max_templates"}, {"limit", std::to_string(model::kMaxTemplates)}});
  }
  CHECK_FALSE(store->get_template("", "more"));
  CHECK_FALSE(store->insert_template(record("", "t0")));  // it is there: that is said first
  CHECK(store->insert_template(record("other", "more")));
  CHECK(store->remove_template("", "t0"));
  CHECK(store->insert_template(record("", "more")));
}

TEST_CASE("an owner's sandboxes are counted where they are reserved: live ones, of the tenant") {
  const auto store = open_sqlite_memory();
  Store::Reserve reserve = kRoom;
  reserve.max_live_of_owner = 2;
  const auto add = [&](const char* id, const char* owner, const char* tenant = "") {
    auto row = sandbox(id);
    row.owner_id = owner;
    row.tenant_id = tenant;
    store->insert(row, reserve);
    return row;
  };
  const auto first = add("sb-1", "o");
  add("sb-2", "o");
  try {
    add("sb-3", "o");
    FAIL("one more was taken");
  } catch (const Error& error) {
    CHECK(error.code() == Code::limit);
    CHECK(error.facts() == Error::Facts{{"field", "max_sandboxes_per_owner"}, {"limit", "2"}});
  }
  CHECK_FALSE(store->get("sb-3"));
  CHECK(store->live_count_of("", "o") == 2);
  CHECK(store->live_count_of("", "") == 0);
  for (const char* id : {"sb-4", "sb-5", "sb-6"}) add(id, "");  // nobody's: no limit
  add("sb-7", "o", "tenant");
  CHECK(store->live_count_of("tenant", "o") == 1);
  auto ended = first;
  ended.state = model::State::error;
  CHECK(store->update(ended, model::State::creating));
  CHECK(store->live_count_of("", "o") == 1);
  CHECK_NOTHROW(add("sb-3", "o"));
}
