// Frames: the outer shape of everything that host and agent say to each other over one byte stream.
//
//   u32 size      payload bytes that follow the header (<= kMaxPayload)
//   u8  type      FrameType
//   u8  kind      DATA: DataKind; otherwise 0
//   u16 reserved  0
//   u32 stream    the request this belongs to; 0 for the connection itself
//   payload
//
// All integers are little-endian. The host opens a stream with REQUEST and a stream id it has not used while the former
// holder of that id was open; the agent ends it with exactly one RESULT, after which neither side sends for that id (frames
// that crossed are ignored). Bytes move as DATA, in both directions, under per-stream credit: each side may send at most
// kWindow payload bytes per stream beyond what the other has granted back with WINDOW. A peer that breaks a rule loses the
// connection. Pure code: no I/O.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace svm::protocol {

inline constexpr uint32_t kVersion = 1;
inline constexpr size_t kHeaderBytes = 12;
inline constexpr uint32_t kMaxPayload = 1024 * 1024;  // bytes in one frame
inline constexpr uint32_t kMaxData = 256 * 1024;      // bytes in one DATA frame
inline constexpr uint32_t kWindow = 1024 * 1024;      // bytes of credit a stream starts with, each direction
inline constexpr uint32_t kMaxStreams = 1024;         // open requests on one connection

enum class FrameType : uint8_t {
  hello = 1,    // host: first frame. Hello
  ready = 2,    // agent: first frame after lock-down, and after resume. Ready
  failed = 3,   // agent or its containment: the boundary could not be built. StepFailure. Nothing follows
  request = 4,  // host: opens a stream. Request
  result = 5,   // agent: ends a stream. Result
  data = 6,     // both
  end = 7,      // both: no more DATA from this side on this stream
  window = 8,   // both: u32 more bytes of credit
  cancel = 9,   // host: stop; a RESULT follows all the same
  signal = 10,  // host: u32 Linux signal number, u32 flags (kSignalGroup)
  started = 11, // agent: an exec's process exists. u32 its pid inside the sandbox
  resize = 12,  // host: u32 rows, u32 columns (1 to kMaxTerminalSide) of an exec's terminal; nothing happens without one
  resume = 13,  // host: first frame of a further connection, in place of hello. u32 version
};

/// gap: u64, the position where the bytes that follow begin. What was between is lost.
enum class DataKind : uint8_t { bytes = 0, out = 1, err = 2, entry = 3, gap = 4, event = 5 };

inline constexpr uint32_t kSignalGroup = 1;  // signal the process group, not only its leader
inline constexpr uint32_t kSignalTree = 2;   // end the command and all that descends from it, as cancelled; the number is SIGKILL's
inline constexpr uint32_t kMaxTerminalSide = 4096;  // rows or columns

struct Frame {
  FrameType type{};
  DataKind kind{};
  uint32_t stream = 0;
  std::string_view payload;  // borrowed
};

/// Appends one frame. The payload must not exceed kMaxPayload (kMaxData for DATA).
void encode_frame(std::string& out, FrameType type, uint32_t stream, std::string_view payload, DataKind kind = DataKind::bytes);
/// Writes only the header, for senders that gather payloads with writev.
void encode_header(char (&out)[kHeaderBytes], FrameType type, uint32_t stream, uint32_t size, DataKind kind = DataKind::bytes) noexcept;

/// Checks a header for itself, for receivers that gather payloads: all of `out` but its payload, and the payload's size. False:
/// malformed, as below.
bool decode_header(const char (&in)[kHeaderBytes], Frame& out, uint32_t& size) noexcept;

enum class DecodeStatus { frame, need_more, malformed };

/// Takes one frame from the front of `in`. frame: `out` is filled and `used` is its whole size. need_more: `used` is the size
/// the buffer must reach for progress (at least kHeaderBytes). malformed: unknown type or kind, a size beyond the limit,
/// reserved bits set, a stream number where none belongs or none where one does; the connection must end.
DecodeStatus decode_frame(std::string_view in, Frame& out, size_t& used) noexcept;

}  // namespace svm::protocol
