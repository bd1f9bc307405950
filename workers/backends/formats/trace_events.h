// The Trace Event format, which Chrome, PyTorch's profiler, Proton and many others write as JSON: an object
// with "traceEvents", or the list alone.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/types/span.h"

namespace sextant::backends::formats {

// An entry of an event's "args": a number, a text, or the first numbers of a list.
struct TraceEventArg {
  bool there = false;
  double number = 0;
  std::string text;
  double list[3] = {0, 0, 0};
};

// What is missing is empty or 0; numbers are finite and at most 1e18. Texts are cut at 4,096 bytes.
struct TraceEvent {
  std::string name;
  std::string category;
  std::string phase;            // "X", "B", "E", "M", …
  std::string process, thread;  // pid and tid, numbers as their text
  double ts = 0;                // in the writer's unit, most often µs
  double dur = 0;
  int64_t ts_thousandths = 0;   // the same without rounding: ns, where the unit is µs
  int64_t dur_thousandths = 0;
  std::vector<TraceEventArg> args;   // as the names asked for
};

// What stands beside the events, where PyTorch's profiler wrote the file.
struct TraceEventsFile {
  std::vector<std::string> devices;   // names of the GPUs
  uint64_t base_time_ns = 0;          // since 1970, what ts counts from; 0: ts is since 1970, or unknown
};

// Calls `event` for each event, in order, once with each; `args` names the entries it wants. Memory does
// not grow with the text. `file` may be null. A list that was cut off after an event is whole, as the format
// allows. INVALID_ARGUMENT names the byte at which the text is no JSON; the events before it were given.
absl::Status ReadTraceEventsUntrusted(std::string_view text,
                                      absl::Span<const std::string_view> args,
                                      absl::FunctionRef<void(const TraceEvent&)> event,
                                      TraceEventsFile* file = nullptr);

}  // namespace sextant::backends::formats
