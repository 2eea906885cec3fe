#include "gate/gate.hpp"
#include "options.hpp"
#include "stream.hpp"

using namespace svm;
using namespace svm::capi;

namespace {

stacyvm_stream* dial(const Sandbox& sandbox, model::PortDialRequest request) {
  request.id = sandbox.id;
  Stream::Shape shape;
  shape.kind = STACYVM_STREAM_PORT;
  shape.takes_bytes = true;
  const Lease lease = sandbox.session->enter();
  return make_stream(sandbox.session, lease.door().start<ops::PortDial>(sandbox.session->caller(), std::move(request)), shape);
}

}  // namespace

int32_t stacyvm_port_dial(stacyvm_sandbox* sb, uint16_t port, uint64_t flags, stacyvm_stream** out, stacyvm_error** err) {
  return guard(err, [&] {
    const Sandbox& sandbox = *core_of(sb, "sb");
    require_output(out, "out");
    refuse_unknown_flags(flags, 0);
    if (port == 0) throw invalid("port", "zero");
    model::PortDialRequest request;
    request.port = port;
    *out = dial(sandbox, std::move(request));
    return STACYVM_OK;
  });
}

int32_t stacyvm_socket_dial(stacyvm_sandbox* sb, const char* path, uint64_t flags, stacyvm_stream** out, stacyvm_error** err) {
  return guard(err, [&] {
    const Sandbox& sandbox = *core_of(sb, "sb");
    require_output(out, "out");
    refuse_unknown_flags(flags, 0);
    model::PortDialRequest request;
    request.path = required_text(path, "path");
    *out = dial(sandbox, std::move(request));
    return STACYVM_OK;
  });
}
