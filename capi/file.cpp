#include <algorithm>

#include "gate/exchange.hpp"
#include "gate/gate.hpp"
#include "model/limits.hpp"
#include "options.hpp"
#include "stream.hpp"

using namespace svm;
using namespace svm::capi;

namespace {

constexpr uint64_t kDefaultReadMax = 64u << 20;
constexpr uint32_t kDefaultMode = 0644;
constexpr uint32_t kModeBits = 07777;

uint32_t mode_or_default(uint32_t mode) {
  if ((mode & ~kModeBits) != 0) throw invalid("mode", "more than permission bits");
  return mode == 0 ? kDefaultMode : mode;
}

int32_t type_number(const std::string& type) noexcept {
  static constexpr std::pair<std::string_view, int32_t> kTypes[] = {
      {"file", STACYVM_TYPE_FILE},     {"directory", STACYVM_TYPE_DIRECTORY}, {"symlink", STACYVM_TYPE_SYMLINK}, {"fifo", STACYVM_TYPE_FIFO},
      {"socket", STACYVM_TYPE_SOCKET}, {"character", STACYVM_TYPE_CHARACTER}, {"block", STACYVM_TYPE_BLOCK},
  };
  for (const auto& [word, number] : kTypes)
    if (type == word) return number;
  return STACYVM_TYPE_OTHER;
}

/// Everything the stream brings. Error limit beyond `max`.
std::string collect(channel::Stream& stream, uint64_t max) {
  std::string bytes;
  channel::Piece piece;
  while (stream.next(-1, piece) == channel::Stream::Next::piece) {
    if (piece.data.size() > max - bytes.size())
      throw Error(Code::limit, "the file is larger than " + std::to_string(max) + " bytes").with("limit", static_cast<long long>(max));
    if (bytes.empty()) {
      bytes = std::move(piece.data);
    } else {
      bytes += piece.data;
    }
  }
  const protocol::Result* result = stream.result();
  if (!result) throw Error(Code::internal, "the stream ended without a result");
  if (result->code != Code::ok) throw gate::result_error(*result);
  return bytes;
}

model::FileUploadRequest upload_request(const char* path, uint32_t mode, uint64_t flags) {
  model::FileUploadRequest request;
  request.path = required_text(path, "path");
  request.mode = mode_or_default(mode);
  request.exclusive = (flags & STACYVM_FILE_EXCLUSIVE) != 0;
  request.parents = (flags & STACYVM_FILE_NO_PARENTS) == 0;
  return request;
}

stacyvm_stream* open_writer(const Sandbox& sandbox, model::FileUploadRequest request) {
  request.id = sandbox.id;
  Stream::Shape shape;
  shape.kind = STACYVM_STREAM_WRITER;
  shape.takes_bytes = true;
  const Lease lease = sandbox.session->enter();
  auto below = lease.door().start<ops::FileUpload>(sandbox.session->caller(), std::move(request));
  return make_stream(sandbox.session, std::move(below), shape);
}

}  // namespace

int32_t stacyvm_file_read(stacyvm_sandbox* sb, const char* path, uint64_t max, void** data_out, uint64_t* size_out, stacyvm_error** err) {
  return guard(err, [&] {
    const Sandbox& sandbox = *core_of(sb, "sb");
    require_output(data_out, "data_out");
    require_output(size_out, "size_out");
    model::FileReadRequest request;
    request.id = sandbox.id;
    request.path = required_text(path, "path");
    if (max == 0) max = kDefaultReadMax;
    max = std::min<uint64_t>(max, INT64_MAX - 1);
    request.length = max + 1;  // one more tells a file that is too large, without reading all of it
    const Lease lease = sandbox.session->enter();
    const std::string bytes = collect(*lease.door().start<ops::FileRead>(sandbox.session->caller(), std::move(request)), max);
    *data_out = copy_out(bytes);
    *size_out = bytes.size();
    return STACYVM_OK;
  });
}

int32_t stacyvm_file_write(stacyvm_sandbox* sb, const char* path, const void* data, uint64_t size, uint32_t mode, uint64_t flags,
                           stacyvm_error** err) {
  return guard(err, [&] {
    const Sandbox& sandbox = *core_of(sb, "sb");
    refuse_unknown_flags(flags, STACYVM_FILE_EXCLUSIVE | STACYVM_FILE_APPEND | STACYVM_FILE_NO_PARENTS);
    if (!data && size > 0) throw invalid("data", "NULL, but size is not zero");
    model::FileWriteRequest request;
    request.id = sandbox.id;
    request.path = required_text(path, "path");
    request.mode = mode_or_default(mode);
    request.exclusive = (flags & STACYVM_FILE_EXCLUSIVE) != 0;
    request.append = (flags & STACYVM_FILE_APPEND) != 0;
    request.parents = (flags & STACYVM_FILE_NO_PARENTS) == 0;
    if (size > model::kMaxContentBytes)
      throw invalid("size", "too large for one call; use stacyvm_file_writer").with("limit", static_cast<long long>(model::kMaxContentBytes));
    if (size > 0) request.content.assign(static_cast<const char*>(data), size);
    const Lease lease = sandbox.session->enter();
    lease.door().run<ops::FileWrite>(sandbox.session->caller(), std::move(request));
    return STACYVM_OK;
  });
}

int32_t stacyvm_file_stat(stacyvm_sandbox* sb, const char* path, uint64_t flags, stacyvm_stat* out, stacyvm_error** err) {
  return guard(err, [&] {
    const Sandbox& sandbox = *core_of(sb, "sb");
    refuse_unknown_flags(flags, STACYVM_FILE_NO_FOLLOW);
    check_result(out, "out");
    model::FileStatRequest request;
    request.id = sandbox.id;
    request.path = required_text(path, "path");
    request.follow = (flags & STACYVM_FILE_NO_FOLLOW) == 0;
    const Lease lease = sandbox.session->enter();
    const model::FileInfo info = lease.door().run<ops::FileStat>(sandbox.session->caller(), std::move(request));
    stacyvm_stat stat{};
    stat.mode = info.mode;
    stat.size = info.size;
    stat.inode = info.inode;
    stat.mtime_ns = info.mtime_ns;
    stat.uid = info.uid;
    stat.gid = info.gid;
    stat.type = type_number(info.type);
    stat.nlink = static_cast<uint32_t>(std::min<uint64_t>(info.nlink, UINT32_MAX));
    write_result(out, stat);
    return STACYVM_OK;
  });
}

int32_t stacyvm_file_reader(stacyvm_sandbox* sb, const char* path, uint64_t offset, uint64_t length, stacyvm_stream** out, stacyvm_error** err) {
  return guard(err, [&] {
    const Sandbox& sandbox = *core_of(sb, "sb");
    require_output(out, "out");
    model::FileReadRequest request;
    request.id = sandbox.id;
    request.path = required_text(path, "path");
    request.offset = offset;
    request.length = length == 0 ? STACYVM_UNLIMITED : length;
    Stream::Shape shape;
    shape.kind = STACYVM_STREAM_READER;
    const Lease lease = sandbox.session->enter();
    auto below = lease.door().start<ops::FileRead>(sandbox.session->caller(), std::move(request));
    *out = make_stream(sandbox.session, std::move(below), shape);
    return STACYVM_OK;
  });
}

int32_t stacyvm_file_writer(stacyvm_sandbox* sb, const char* path, uint32_t mode, uint64_t flags, stacyvm_stream** out, stacyvm_error** err) {
  return guard(err, [&] {
    const Sandbox& sandbox = *core_of(sb, "sb");
    require_output(out, "out");
    refuse_unknown_flags(flags, STACYVM_FILE_EXCLUSIVE | STACYVM_FILE_NO_PARENTS);
    *out = open_writer(sandbox, upload_request(path, mode, flags));
    return STACYVM_OK;
  });
}

int32_t stacyvm_file_upload(stacyvm_sandbox* sb, const char* path, const char* upload, uint64_t offset, uint32_t mode, uint64_t flags,
                            stacyvm_stream** out, stacyvm_error** err) {
  return guard(err, [&] {
    const Sandbox& sandbox = *core_of(sb, "sb");
    require_output(out, "out");
    refuse_unknown_flags(flags, STACYVM_FILE_EXCLUSIVE | STACYVM_FILE_NO_PARENTS | STACYVM_FILE_RESTART);
    model::FileUploadRequest request = upload_request(path, mode, flags);
    request.upload = required_text(upload, "upload");
    request.offset = offset;
    request.restart = (flags & STACYVM_FILE_RESTART) != 0;
    *out = open_writer(sandbox, std::move(request));
    return STACYVM_OK;
  });
}

int32_t stacyvm_file_watch(stacyvm_sandbox* sb, const char* path, uint64_t flags, stacyvm_stream** out, stacyvm_error** err) {
  return guard(err, [&] {
    const Sandbox& sandbox = *core_of(sb, "sb");
    require_output(out, "out");
    refuse_unknown_flags(flags, STACYVM_FILE_RECURSIVE);
    model::FileWatchRequest request;
    request.id = sandbox.id;
    request.path = required_text(path, "path");
    request.recursive = (flags & STACYVM_FILE_RECURSIVE) != 0;
    Stream::Shape shape;
    shape.kind = STACYVM_STREAM_WATCH;
    const Lease lease = sandbox.session->enter();
    auto below = lease.door().start<ops::FileWatch>(sandbox.session->caller(), std::move(request));
    *out = make_stream(sandbox.session, std::move(below), shape);
    return STACYVM_OK;
  });
}
