// A running command between our standard streams: its input, its output, and the signals that we get.
#pragma once
#include <stacyvm/stacyvm.hpp>

#include <optional>
#include <string>

#include "signals.hpp"

namespace cli {

/// Output that is kept instead of being passed on.
struct Collected {
  std::string out, err;
};

/// Moves bytes both ways and keeps one piece of each at a time, whatever the amount. Never waits for one side alone, so a slow
/// reader holds up neither the input nor a signal. Our descriptors are shared with others (a terminal, a shell's pipe): they are not
/// made non-blocking, but never given more than they take at once.
class Pump {
 public:
  struct Ways {
    Collected* collected;  // NULL: output goes to our standard output and error
    bool on_terminal;      // the command has a terminal, which gets the size of ours
    bool input;            // our standard input is the command's
  };
  Pump(stacyvm::Queue& queue, stacyvm::Stream& command, Signals& signals, const Ways& ways)
      : queue_(queue), command_(command), signals_(signals), collected_(ways.collected), on_terminal_(ways.on_terminal), input_open_(ways.input) {}

  /// Until the command has ended (nothing), or until there is no point in its going on: then the exit status that says why, and the
  /// command is to be killed. The first signal is the command's, the second one ends everything. Throws stacyvm::Error, which is
  /// what ended the command's stream, and std::system_error, for our own descriptors.
  std::optional<int> run();

 private:
  void show_interest();
  void wait();
  std::optional<int> take_signals();
  void resize();
  void read_input();
  void write_input();
  void end_input();
  /// False: the stream has ended.
  bool read_output();
  /// False: nobody reads it any more.
  bool write_output();

  stacyvm::Queue& queue_;
  stacyvm::Stream& command_;
  Signals& signals_;
  Collected* collected_;
  const bool on_terminal_;
  bool input_open_;
  uint32_t interest_ = 0;
  bool input_ready_ = false, interrupted_ = false;
  std::string input_, output_;  // read from one side and not yet taken by the other
  size_t input_at_ = 0, output_at_ = 0;
  int output_fd_ = -1;
};

}  // namespace cli
