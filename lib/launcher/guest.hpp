// The descriptors that containment leaves to the agent, by number.
#pragma once

namespace svm::launcher {

inline constexpr int kChannelFd = 3, kLifeFd = 4, kAgentFd = 5, kOomFd = 6, kCommandGroupFd = 7, kCommandGroupFds = 3;
inline constexpr int kControlFd = kCommandGroupFd + kCommandGroupFds;
inline constexpr int kFirstFreeFd = kControlFd + 1;

}  // namespace svm::launcher
