// What a template may say.
#include "expect.hpp"
#include "model/fields.hpp"
#include "model/json.hpp"
#include "model/limits.hpp"

using namespace svm;
using namespace svm::model;
using svm::test::check_refused;
using svm::test::error_of;
using svm::test::fact;

namespace {

Template made(std::string_view more) { return decode<TemplateCreateRequest>({}, R"({"name":"t","image":"host")" + std::string(more) + "}").body; }
std::string text(size_t size) { return '"' + std::string(size, 'x') + '"'; }
std::string list(size_t count, const std::string& item) {
  std::string json = "[";
  for (size_t i = 0; i < count; ++i) json += (i > 0 ? "," : "") + item;
  return json + "]";
}
void at_the_limit(const std::string& member, const std::string& good, const std::string& bad) {
  INFO("member: ", member);
  CHECK_NOTHROW(made(",\"" + member + "\":" + good));
  check_refused(member, [&] { made(",\"" + member + "\":" + bad); });
}

}  // namespace

TEST_CASE("templates: a name and an image, nothing less") {
  check_refused("name", [] { decode<TemplateCreateRequest>({}, R"({"image":"host"})"); });
  check_refused("image", [] { decode<TemplateCreateRequest>({}, R"({"name":"t"})"); });
  check_refused("image", [] { decode<TemplateCreateRequest>({}, R"({"name":"t","image":""})"); });
  for (const char* name : {"", ".t", "a b", "a/b", "-a"}) check_refused("name", [&] { decode<TemplateCreateRequest>({}, R"({"image":"host","name":")" + std::string(name) + "\"}"); });
  CHECK_NOTHROW(decode<TemplateCreateRequest>({}, R"({"image":"host","name":)" + text(kMaxSandboxNameBytes) + "}"));
  check_refused("name", [] { decode<TemplateCreateRequest>({}, R"({"image":"host","name":)" + text(kMaxSandboxNameBytes + 1) + "}"); });
}

TEST_CASE("templates: each bound") {
  at_the_limit("description", text(kMaxDescriptionBytes), text(kMaxDescriptionBytes + 1));
  at_the_limit("version", "2147483647", "2147483648");
  at_the_limit("setup", list(kMaxSetup, "\"true\""), list(kMaxSetup + 1, "\"true\""));
  at_the_limit("setup", list(1, text(kMaxSetupBytes)), list(1, text(kMaxSetupBytes + 1)));
  at_the_limit("setup", "[]", "[\"\"]");
  at_the_limit("memory_mb", "16", "15");
  at_the_limit("cpu_cores", "1024", "1025");
  at_the_limit("ttl", "\"878400h\"", "\"878400h1s\"");
  at_the_limit("ttl_seconds", "3162240000", "3162240001");
  at_the_limit("pool_size", "1000", "1001");
  at_the_limit("metadata", "{}", R"({"a":1})");
}

TEST_CASE("templates: two spellings of one thing, which must agree") {
  CHECK(made(R"(,"vcpus":2,"cpu_cores":2,"ttl":"5m","ttl_seconds":300)").cpu_cores == 2000);
  check_refused("cpu_cores", [] { made(R"(,"vcpus":2,"cpu_cores":1)"); });
  check_refused("ttl_seconds", [] { made(R"(,"ttl":"5m","ttl_seconds":301)"); });
}

TEST_CASE("templates: what cannot be honoured is not taken") {
  CHECK_NOTHROW(made(R"(,"allowed_hosts":[],"secrets":[],"pool_size":3)"));
  for (const auto& [json, field] : {std::pair{R"(,"allowed_hosts":["example.org"])", "allowed_hosts"}, {R"(,"secrets":[{"name":"a","inject_at":"A"}])", "secrets"}}) {
    const auto error = error_of([&] { made(json); });
    REQUIRE(error);
    CHECK(error->code() == Code::unsupported);
    CHECK(fact(*error, "field") == field);
  }
  check_refused("secrets[0].inject_at", [] { made(R"(,"secrets":[{"name":"a"}])"); });
}

TEST_CASE("templates: an update names one template, in one way or in both") {
  const auto update = [](std::string_view body) { return decode<TemplateUpdateRequest>({{"template", "t"}}, body).template_name; };
  CHECK(update(R"({"image":"host"})") == "t");
  CHECK(update(R"({"image":"host","name":"t"})") == "t");
  check_refused("name", [&] { update(R"({"image":"host","name":"u"})"); });
  check_refused("template", [] { decode<TemplateUpdateRequest>({}, R"({"image":"host"})"); });
}

TEST_CASE("templates: answers have both spellings") {
  TemplateInfo info;
  info.body = made(R"(,"vcpus":0.5,"ttl":"1.5s")");
  info.body.cpu_cores = info.body.milli_cpus;
  const std::string json = encode(info);
  CHECK_MESSAGE(json.find(R"("vcpus":0.5,"cpu_cores":0.5,)") != json.npos, json);
  CHECK_MESSAGE(json.find(R"("ttl":"1.5s","ttl_seconds":2,"provider":"","metadata":{})") != json.npos, json);
}
