// Reads traces back, chunk by chunk, only those that can hold what is asked for.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proto/chunk/decoder.h"
#include "server/store/trace_chunks.h"
#include "server/trace/rollup.h"

namespace sextant::trace {

// What is the same for a whole trace.
struct TraceSummary {
  uint64_t chunks = 0;
  uint64_t events = 0;
  uint64_t dropped = 0;
  uint64_t bytes = 0;
  uint64_t first_ns = 0;               // earliest start, ns since the pass began
  uint64_t last_ns = 0;                // latest end
  v1::TimeUnit unit = v1::NANOSECONDS;
  std::string kernel;
  std::vector<std::string> regions;
  std::vector<std::string> roles;
};

struct ReadRequest {
  std::vector<std::string> regions = {};   // by name; empty: all
  uint64_t from_ns = 0;
  uint64_t to_ns = UINT64_MAX;             // chunks that overlap [from_ns, to_ns]
};

// Thread-safe.
class Reader {
 public:
  explicit Reader(store::TraceStore* store) : store_(store) {}

  // NOT_FOUND: never completed, or removed by retention.
  absl::StatusOr<TraceSummary> Summarize(std::string_view trace_digest);

  // Chunks come whole, in time order: they also hold events that were not asked for. A status other
  // than OK from `use` ends the reading and is returned. DATA_LOSS: a chunk is missing or damaged.
  absl::Status Read(std::string_view trace_digest, const ReadRequest& request,
                    absl::FunctionRef<absl::Status(const chunk::Decoded&)> use);

  // Of this one pass.
  absl::StatusOr<Rollup> ReadRollup(std::string_view trace_digest, bool with_buckets = true);

 private:
  store::TraceStore* const store_;
};

}  // namespace sextant::trace
