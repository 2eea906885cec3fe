// A tar archive on its way into a sandbox. What is written is kept, up to kTarBufferBytes, for a thread that takes the archive
// apart and sends its tree to the agent: reading an archive waits for bytes, and whoever writes them must not.
#pragma once
#include <cstddef>
#include <memory>

#include "channel/channel.hpp"

namespace svm::gate {

inline constexpr size_t kTarBufferBytes = 1024 * 1024;   // written and not yet read by the thread
inline constexpr size_t kMaxTarUploads = 32;             // threads, of the whole process

/// `below`: an unpack of the agent. Error limit, fact "limit", while kMaxTarUploads run. Dropping the stream, cancelled or not, waits for nobody:
/// the thread ends by itself as soon as the agent lets go of it.
std::shared_ptr<channel::Stream> make_tar_put_stream(std::shared_ptr<channel::Stream> below);

}  // namespace svm::gate
