// Chrome traces as a trace and tables: those of PyTorch's profiler, and any other of the Trace Event format.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "workers/backends/backend.h"

namespace sextant::backends::import {

struct TraceEventsLimits {
  uint64_t max_instances = 64 * 1024 * 1024;
  size_t max_tracks = 256 * 1024;
  size_t max_regions = 4000;   // distinct names; the rest share one
  size_t max_depth = 1024;     // of begun events of one thread
};

struct TraceEventsImport {
  Collected collected;
  std::string device;           // name of the GPU, where the file tells
  uint64_t started_unix_ns = 0; // of time 0 of the trace; 0: not known
};

// A track for each thread (pid, tid), its role the thread's name, times in ns since the first event. Complete
// events ("X") and pairs ("B", "E") become instances of regions named as they are; other events are counted
// in a note. Events of category kernel, gpu_memcpy and gpu_memset also become the tables `launches` and
// `copies` (docs/tables.md). INVALID_ARGUMENT names the byte at which the text is no JSON, or the first
// event whose time or duration is negative or not there. FAILED_PRECONDITION: it has no event.
absl::StatusOr<TraceEventsImport> ImportTraceEventsUntrusted(std::string_view text,
                                                             const TraceEventsLimits& limits = {});

}  // namespace sextant::backends::import
