// What the host decodes of an agent it does not trust. The first byte chooses the message.
#include "harness.hpp"
#include "protocol/message.hpp"

using namespace svm::protocol;
using svm::fuzz::check_round_trip;

namespace {
void check_entries(std::string_view in) {
  std::vector<Entry> entries;
  if (!decode_entries(in, entries)) return;
  std::string bytes;
  for (const Entry& entry : entries) encode(bytes, entry);
  SVM_INVARIANT(bytes == in);
}

void check_events(std::string_view in) {
  std::vector<WatchEvent> events;
  if (!decode_watch_events(in, events)) return;
  std::string bytes;
  for (const WatchEvent& event : events) encode(bytes, event);
  SVM_INVARIANT(bytes == in);
}

void check_matches(std::string_view in) {
  std::vector<SearchMatch> matches;
  if (!decode_matches(in, matches)) return;
  std::string bytes;
  for (const SearchMatch& match : matches) encode(bytes, match);
  SVM_INVARIANT(bytes == in);
}

void check_processes(std::string_view in) {
  std::vector<ProcessInfo> processes;
  if (!decode_processes(in, processes)) return;
  std::string bytes;
  for (const ProcessInfo& process : processes) encode(bytes, process);
  SVM_INVARIANT(bytes == in);
}

/// Names are asked for whatever number came.
void check_names(const StepFailure& failure) {
  SVM_INVARIANT(step_is_known(static_cast<uint16_t>(failure.step)));
  SVM_INVARIANT(step_name(failure.step) != nullptr);
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view in = svm::fuzz::text(data + 1, size - 1);
  StepFailure failure;
  switch (data[0]) {
    case 0: check_round_trip<Ready>(in); break;
    case 1:
      check_round_trip<StepFailure>(in);
      if (decode(in, failure)) check_names(failure);
      break;
    case 2: check_round_trip<Result>(in); break;
    case 3: check_round_trip<ExecResult>(in); break;
    case 4: check_round_trip<FileInfo>(in); break;
    case 5: check_entries(in); break;
    case 100: check_round_trip<Listeners>(in); break;
    case 101: check_round_trip<TreeSummary>(in); break;
    case 102: check_events(in); break;
    case 104: check_matches(in); break;
    case 105: check_round_trip<SearchSummary>(in); break;
    case 106: check_round_trip<Replaced>(in); break;
    case 6: check_processes(in); break;
    case 103: check_round_trip<DiskStats>(in); break;
    default: SVM_INVARIANT((enforced_name(data[0]) != nullptr) == (data[0] < kEnforcedBits)); break;
  }
  return 0;
}
