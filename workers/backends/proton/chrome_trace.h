// Proton's Chrome traces: one JSON object a line, each {"traceEvents": […]}. Two kinds of events:
//
//   inside kernels   pid "<kernel> Core<SM> CTA<n>", tid "warp <w> (line <n>)", ts and dur in cycles
//                    over args["Frequency (MHz)"], which is no measured clock
//   kernels          name <kernel>, tid the stream's number, ts and dur in µs
//
// The first has less than the raw buffer: times are rounded to 24 bits, launches carry no number, and
// of lost records there is no trace. It is read where there is no raw buffer.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "workers/backends/formats/trace_events.h"
#include "workers/backends/proton/recording.h"

namespace sextant::backends::proton {

// Calls `event` for each complete event ("X"), in order; its one arg is the frequency in MHz. Memory does not grow with the text.
// INVALID_ARGUMENT: a line is no JSON; the events before it were given.
absl::Status ReadChromeTraceUntrusted(std::string_view text,
                                      absl::FunctionRef<void(const formats::TraceEvent&)> event);

// Adds the events inside kernels. A launch ends where a warp appears a second time. INVALID_ARGUMENT
// as above; what came before stays.
absl::Status AddChromeTraceUntrusted(std::string_view text, Recording& recording);

// A kernel as the host saw it.
struct HostKernel {
  std::string kernel;
  std::string stream;
  uint64_t start_ns = 0;     // since the first kernel of the trace
  uint64_t duration_ns = 0;
};

// The kernels, sorted by start. INVALID_ARGUMENT as above. RESOURCE_EXHAUSTED: more than max_kernels.
absl::StatusOr<std::vector<HostKernel>> ReadHostKernelsUntrusted(std::string_view text,
                                                                 size_t max_kernels);

}  // namespace sextant::backends::proton
