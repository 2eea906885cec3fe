#include "model/sha256.hpp"

#include "expect.hpp"
#include "model/fields.hpp"

using namespace svm::model;

namespace {
std::string hex(const std::string& bytes) {
  std::string text;
  for (const char c : bytes)
    for (const int shift : {4, 0}) text += "0123456789abcdef"[static_cast<unsigned char>(c) >> shift & 15];
  return text;
}
}  // namespace

TEST_CASE("sha256: the vectors of FIPS 180-4, and every length around a block") {
  CHECK(hex(sha256("")) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(hex(sha256("abc")) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(hex(sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")) == "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  CHECK(hex(sha256(std::string(1'000'000, 'a'))) == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  // The digest of the digests of 0 to 129 letters a.
  std::string all;
  for (size_t size = 0; size < 130; ++size) all += sha256(std::string(size, 'a'));
  CHECK(hex(sha256(all)) == "39a48225ae6069c68f7c9f867bf47f4a2e188c3903dd919926b8259a73ecada5");
}

TEST_CASE("fingerprint: every field of a spawn counts, but for those that are named") {
  const auto digest = [](const SpawnRequest& request) { return fingerprint(request, {}); };
  const std::string plain = digest({});
  CHECK(plain == digest({}));
  // Each field given a value of its own through JSON: a member that is added later is in this test at once.
  size_t counted = 0;
  for (const Field& field : fields_of<SpawnRequest>().list) {
    if (!field.locate) continue;
    INFO("field: ", std::string(field.name));
    SpawnRequest changed;
    switch (field.slot) {
      case Slot::string: field.ref<std::string>(&changed) = "x"; break;
      case Slot::boolean: field.ref<bool>(&changed) = !field.ref<bool>(&changed); break;
      case Slot::map: field.ref<StringMap>(&changed) = {{"k", "v"}}; break;
      case Slot::objects: field.objects->append(field.locate(&changed)); break;
      default: field.set_number(&changed, 7); break;
    }
    CHECK(digest(changed) != plain);
    const std::string_view except[] = {field.name};
    CHECK(fingerprint(changed, except) == fingerprint(SpawnRequest{}, except));
    ++counted;
  }
  CHECK(counted >= 18);
}

TEST_CASE("fingerprint: neighbouring values do not run into one another") {
  SpawnRequest a, b;
  a.env = {{"A", "BC"}}, b.env = {{"AB", "C"}};
  CHECK(fingerprint(a, {}) != fingerprint(b, {}));
  a = {}, b = {};
  a.mounts = {{"/a", "/b"}, {"/c", "/d"}}, b.mounts = {{"/a", "/b"}};
  CHECK(fingerprint(a, {}) != fingerprint(b, {}));
  a = {}, b = {};
  a.memory_bytes = UINT64_MAX, b.memory_bytes = INT64_MAX;
  CHECK(fingerprint(a, {}) != fingerprint(b, {}));
}
