#include "gate/tar_get_stream.hpp"

#include "gate/exchange.hpp"
#include "images/tar_writer.hpp"

namespace svm::gate {
namespace {

images::TarItem::Type item_type(protocol::TreeType type) {
  switch (type) {
    case protocol::TreeType::file: return images::TarItem::Type::file;
    case protocol::TreeType::directory: return images::TarItem::Type::directory;
    case protocol::TreeType::symlink: return images::TarItem::Type::symlink;
    case protocol::TreeType::hardlink: return images::TarItem::Type::hardlink;
    case protocol::TreeType::chmod: break;
  }
  malformed_answer();
}

}  // namespace

channel::Stream::Next TarGetStream::next(int64_t timeout_ms, channel::Piece& out) {
  channel::Piece piece;
  const Next next = below_->next(timeout_ms, piece);
  if (next == Next::piece) {
    if (piece.kind != protocol::DataKind::bytes) malformed_answer();
    // Most of a large file comes in pieces that are nothing but its content.
    if (parser_.content_left() > piece.data.size()) {
      std::string_view in = piece.data, content;
      parser_.next(in, entry_, content);
      out = std::move(piece);
      return Next::piece;
    }
    std::string made;
    made.reserve(piece.data.size() + piece.data.size() / 4);
    convert(piece.data, made);
    if (made.empty()) return this->next(timeout_ms, out);  // the beginning of a header, which is small
    out = {protocol::DataKind::bytes, std::move(made)};
    return Next::piece;
  }
  if (next != Next::end || ended_) return next;
  const protocol::Result* result = below_->result();
  ended_ = true;
  if (!result || result->code != Code::ok) return next;  // and no mark of an end: whoever unpacks it sees that it is not whole
  if (!parser_.complete()) malformed_answer();
  std::string mark;
  images::append_tar_end(mark);
  out = {protocol::DataKind::bytes, std::move(mark)};
  end_pending_ = true;
  return Next::piece;
}

void TarGetStream::convert(std::string_view in, std::string& out) {
  for (;;) {
    std::string_view content;
    switch (parser_.next(in, entry_, content)) {
      case protocol::TreeParser::Item::need_more: return;
      case protocol::TreeParser::Item::malformed: malformed_answer();
      case protocol::TreeParser::Item::content: out += content; break;
      case protocol::TreeParser::Item::entry: {
        images::TarItem item{item_type(entry_.type), std::move(entry_.path), std::move(entry_.target), entry_.mode, entry_.size, entry_.mtime_ns, entry_.uid, entry_.gid};
        images::append_tar_header(out, item);
        padding_ = images::tar_padding(item.size);
        break;
      }
    }
    if (parser_.content_left() == 0) end_entry(out);
  }
}

void TarGetStream::end_entry(std::string& out) { out.append(std::exchange(padding_, 0), '\0'); }

}  // namespace svm::gate
