// The rollup of a task: those of its passes, merged once and kept, so that a question to many passes
// costs what a question to one does.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "server/store/trace_chunks.h"
#include "server/trace/rollup.h"

namespace sextant::trace {

// A pass and the trace it left.
struct PassTrace {
  int64_t pass_id = 0;
  std::string trace_digest;
};

// Merges those of `passes` that are not in yet into the stored rollup of (task, series), and returns
// it. `series` separates what never mixes within a task: the backend's name. Repeating is harmless
// and cheap: with nothing to merge it is one read. Several coordinators may do it at once.
// `skipped`, when given, counts passes whose trace retention removed before it was merged.
// FAILED_PRECONDITION: units differ.
absl::StatusOr<Rollup> MergeTaskRollup(store::TraceStore* store, int64_t task_id,
                                       std::string_view series, absl::Span<const PassTrace> passes,
                                       bool with_buckets = true, int* skipped = nullptr);

}  // namespace sextant::trace
