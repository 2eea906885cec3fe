// Unpacks into a sandbox: a TreeWriter whose tree is what the agent sees.
#pragma once
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "channel/channel.hpp"
#include "images/tree_writer.hpp"

namespace svm::providers {

/// Keeps many requests in flight: a small file costs its share of the work, not a round trip. The agent serves requests in the order
/// they were sent, so a file can follow its directory at once.
class AgentTreeWriter final : public images::TreeWriter {
 public:
  using Request = std::function<std::shared_ptr<channel::Stream>(protocol::Op, std::string)>;
  static constexpr size_t kMaxInFlight = 256;  // a quarter of what one connection may have open

  /// `user`: as whom everything is made. The whole tree has `timeout_ms` (-1: for ever); beyond: Error timeout.
  AgentTreeWriter(Request request, std::string user, int64_t timeout_ms);
  /// What is in flight is cancelled.
  ~AgentTreeWriter() override;

  void mkdir(std::string_view path, uint32_t mode) override;
  void begin_file(std::string_view path, uint32_t mode, uint64_t size) override;
  void data(std::string_view bytes) override;
  void commit_file() override;
  void symlink(std::string_view path, std::string_view target) override;
  void hardlink(std::string_view path, std::string_view existing) override;
  void chmod(std::string_view path, uint32_t mode) override;
  void finish() override;

 private:
  template <class Message>
  std::shared_ptr<channel::Stream> send(protocol::Op op, const Message& message);
  void queue(std::shared_ptr<channel::Stream> stream);
  void wait_until(size_t in_flight);
  void wait_for(channel::Stream& stream);
  int64_t left_ms() const;

  Request request_;
  const std::string user_;
  const int64_t deadline_ms_;  // -1: none
  std::shared_ptr<channel::Stream> file_;
  std::deque<std::shared_ptr<channel::Stream>> in_flight_;
};

}  // namespace svm::providers
