// The descriptors that containment leaves to the agent, by number.
#pragma once

namespace svm::launcher {

inline constexpr int kChannelFd = 3, kLifeFd = 4, kAgentFd = 5, kOomFd = 6, kCommandGroupFd = 7, kCommandGroupFds = 3;
inline constexpr int kFirstFreeFd = kCommandGroupFd + kCommandGroupFds;

}  // namespace svm::launcher
