// The schemas are read back as JSON and held against the field lists they came from.
#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "core/error.hpp"
#include "model/fields.hpp"
#include "model/json.hpp"

using namespace svm::model;

namespace {

const Json* member(const Json& object, std::string_view name) {
  for (size_t i = 0; i < object.names.size(); ++i)
    if (object.names[i] == name) return &object.items[i];
  return nullptr;
}

std::set<std::string> strings(const Json* array) {
  std::set<std::string> set;
  if (array)
    for (const Json& item : array->items) set.insert(item.text);
  return set;
}

template <class T>
void check_schema() {
  const Fields& fields = fields_of<T>();
  INFO("struct: ", std::string(fields.name));
  const Json schema_json = json_parse(schema<T>(), "schema");
  CHECK(member(schema_json, "$schema")->text == "https://json-schema.org/draft/2020-12/schema");
  if (fields.array) {
    const bool is_array = fields.list[0].slot == Slot::list || fields.list[0].slot == Slot::objects;
    CHECK((member(schema_json, "type")->text == "array") == is_array);
    CHECK((member(schema_json, "items") != nullptr) == is_array);
    return;
  }
  CHECK(member(schema_json, "type")->text == "object");
  const Json* properties = member(schema_json, "properties");
  REQUIRE(properties);
  const std::set<std::string> required = strings(member(schema_json, "required"));
  size_t expected = 0;
  for (const Field& field : fields.list) {
    INFO("field: ", std::string(field.name));
    ++expected;
    const Json* property = member(*properties, field.name);
    REQUIRE(property);
    CHECK_FALSE(member(*property, "description")->text.empty());
    const bool twinned = field.kind == Kind::bytes;
    if (twinned) {
      ++expected;
      CHECK(member(*properties, std::string(field.name) + "_b64"));
    }
    CHECK(required.count(std::string(field.name)) == ((field.needed || field.always) && !twinned ? 1 : 0));
    if (field.keep != Keep::whole && !field.always) CHECK(member(*property, "writeOnly"));
  }
  CHECK(properties->names.size() == expected);
}

// Rules that every list keeps.
void check_list(const Fields& fields) {
  INFO("struct: ", std::string(fields.name));
  CHECK(fields.list.size() <= 64);  // decode() keeps one bit for each
  std::set<std::string_view> names;
  for (const Field& field : fields.list) {
    INFO("field: ", std::string(field.name));
    CHECK(names.insert(field.name).second);
    CHECK_FALSE(field.doc.empty());
    CHECK(field.least <= field.most);
    CHECK(std::find(std::begin(kAuthorityNames), std::end(kAuthorityNames), field.name) == std::end(kAuthorityNames));
    if (field.kind == Kind::word) CHECK_FALSE(field.words.empty());
    if (field.slot == Slot::map || field.slot == Slot::list || field.slot == Slot::objects) CHECK(field.most_items > 0);
    // Nothing a request carries is without a bound.
    if (field.slot == Slot::string && field.kind != Kind::word) CHECK(field.most < INT64_MAX);
  }
}

}  // namespace

TEST_CASE("schema: every struct's schema has exactly its fields") {
#define CHECK_SCHEMA(T) check_schema<T>();
  SVM_MODEL_REQUESTS(CHECK_SCHEMA)
  SVM_MODEL_ANSWERS(CHECK_SCHEMA)
}

TEST_CASE("schema: every request's list keeps the rules") {
#define CHECK_LIST(T) check_list(fields_of<T>());
  SVM_MODEL_REQUESTS(CHECK_LIST)
  check_list(fields_of<Mount>());
}

TEST_CASE("schema: bounds and defaults are the wire's") {
  const std::string spawn = schema<SpawnRequest>();
  for (const std::string_view part : {R"("memory_mb":{"type":["integer","null"],"anyOf":[{"const":0},{"minimum":16}],"maximum":16777216,"default":1024)",
                                      R"("vcpus":{"type":["number","null"],"anyOf":[{"const":0},{"minimum":0.01}],"maximum":1024,"default":1)", R"("enum":["","none",null])",
                                      R"("default":"30m0s")"})
    CHECK_MESSAGE(spawn.find(part) != spawn.npos, std::string(part));
  CHECK(schema<FileWriteRequest>().find(R"("default":"0644")") != std::string::npos);
  CHECK(schema<FileWriteRequest>().find(R"("oneOf":[{"required":["path"]},{"required":["path_b64"]}])") != std::string::npos);
}
