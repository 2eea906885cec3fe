#include "gate/gate.hpp"
#include "model/fields.hpp"
#include "op.hpp"
#include "options.hpp"

using namespace svm;
using namespace svm::capi;

namespace {

stacyvm_sandbox* make_sandbox(const std::shared_ptr<Session>& session, std::string id) {
  return make_handle<stacyvm_sandbox>(std::make_shared<Sandbox>(Sandbox{session, std::move(id)})).release();
}

std::string id_json(const std::string& id) { return "{\"id\":\"" + id + "\"}"; }  // ids are base32: nothing to escape

}  // namespace

int32_t stacyvm_spawn(stacyvm_session* s, const stacyvm_spawn_options* o, stacyvm_sandbox** out, stacyvm_error** err) {
  return guard(err, [&] {
    const auto& session = core_of(s, "s");
    require_output(out, "out");
    model::SpawnRequest request = spawn_request(read_options(o, "options"));
    const auto core = std::make_shared<Sandbox>(Sandbox{session, {}});
    auto handle = make_handle<stacyvm_sandbox>(core);  // first: without memory nothing is spawned
    const Lease lease = session->enter();
    core->id = lease.door().run<ops::SandboxSpawn>(session->caller(), std::move(request)).record.id;
    *out = handle.release();
    return STACYVM_OK;
  });
}

int32_t stacyvm_spawn_begin(stacyvm_session* s, const stacyvm_spawn_options* o, stacyvm_op** out, stacyvm_error** err) {
  return guard(err, [&] {
    const auto& session = core_of(s, "s");
    require_output(out, "out");
    *out = make_op(session, Op::Gives::sandbox, [request = spawn_request(read_options(o, "options"))](Door& door, const Caller& caller) {
      const model::SandboxInfo info = door.run<ops::SandboxSpawn>(caller, request);
      return Op::Outcome{id_json(info.record.id), info.record.id, !info.existed};
    });
    return STACYVM_OK;
  });
}

int32_t stacyvm_sandbox_get(stacyvm_session* s, const char* id_or_name, stacyvm_sandbox** out, stacyvm_error** err) {
  return guard(err, [&] {
    const auto& session = core_of(s, "s");
    require_output(out, "out");
    model::GetRequest request;
    request.id = required_text(id_or_name, "id_or_name");
    const Lease lease = session->enter();
    *out = make_sandbox(session, lease.door().run<ops::SandboxGet>(session->caller(), std::move(request)).record.id);
    return STACYVM_OK;
  });
}

const char* stacyvm_sandbox_id(const stacyvm_sandbox* sb) { return is_handle(sb) ? sb->core->id.c_str() : nullptr; }

int32_t stacyvm_sandbox_info(stacyvm_sandbox* sb, char** json_out, stacyvm_error** err) {
  return guard(err, [&] {
    const Sandbox& sandbox = *core_of(sb, "sb");
    require_output(json_out, "json_out");
    const Lease lease = sandbox.session->enter();
    *json_out = static_cast<char*>(copy_out(lease.door().call(sandbox.session->caller(), ops::SandboxGet::row.name, {{"id", sandbox.id}}, "")));
    return STACYVM_OK;
  });
}

int32_t stacyvm_sandbox_extend(stacyvm_sandbox* sb, int64_t ttl_ms, stacyvm_error** err) {
  return guard(err, [&] {
    const Sandbox& sandbox = *core_of(sb, "sb");
    const Lease lease = sandbox.session->enter();
    lease.door().run<ops::SandboxExtend>(sandbox.session->caller(), {sandbox.id, ttl_ms});
    return STACYVM_OK;
  });
}

int32_t stacyvm_sandbox_destroy(stacyvm_sandbox* sb, stacyvm_error** err) {
  return guard(err, [&] {
    const Sandbox& sandbox = *core_of(sb, "sb");
    const Lease lease = sandbox.session->enter();
    lease.door().run<ops::SandboxDestroy>(sandbox.session->caller(), {sandbox.id});
    return STACYVM_OK;
  });
}

int32_t stacyvm_sandbox_destroy_begin(stacyvm_sandbox* sb, stacyvm_op** out, stacyvm_error** err) {
  return guard(err, [&] {
    const Sandbox& sandbox = *core_of(sb, "sb");
    require_output(out, "out");
    *out = make_op(sandbox.session, Op::Gives::json, [id = sandbox.id](Door& door, const Caller& caller) {
      door.run<ops::SandboxDestroy>(caller, {id});
      return Op::Outcome{"{}", {}};
    });
    return STACYVM_OK;
  });
}

void stacyvm_sandbox_close(stacyvm_sandbox* sb) {
  close_handle(sb, [](Sandbox&) {});
}
