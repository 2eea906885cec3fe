// A stream of a server's, as one of this machine's would be.
#pragma once
#include <memory>
#include <string>

#include "channel/channel.hpp"
#include "remote/link.hpp"

namespace svm::remote {

/// `link` is watched already.
std::shared_ptr<channel::Stream> make_stream(std::shared_ptr<Link> link, std::string exec_id);

}  // namespace svm::remote
