// The statistical timeline of a profile task: what its passes agree on.
//
//   lanes     instances aligned over passes (aligner.h), exact quantiles of start, end, duration
//   regions   aggregates of all instances of all passes: from the rollups within 1 %, or exact
//   buckets   the same over time: from the rollups, or from the chunks where these are too coarse
//
//   loops     the repeated sequence of a role, folded (loop_fold.h)
//   overlaps  what runs at the same time as what (overlap.h)
//
// Quantiles of instances, spans and exact aggregates are of type 7 (quantile.h); those from rollups
// are order statistics of rank floor(q·(n−1)).
#pragma once

#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "sextant/v1/sextant.pb.h"
#include "server/analysis/sample_cache.h"
#include "server/analysis/selection.h"
#include "server/analysis/trace_sample.h"
#include "server/store/trace_chunks.h"
#include "server/trace/reader.h"

namespace sextant::analysis {

struct TimelineRooms {
  trace::Reader* reader;
  store::TraceStore* traces;
  SampleCache* samples;
  const v1::ServiceLimits& limits;
};

// What the passes' launches say of them.
struct PassKnowledge {
  std::vector<v1::Perturbation> certificates;
  LaunchedKernels kernels;
  AllTraits traits;
};
PassKnowledge KnowledgeOf(absl::Span<const PassLaunches> launches);

// `passes` are all of the task, in any state. Spans are given with the instances alone.
absl::StatusOr<v1::Timeline> MakeTimeline(TimelineRooms rooms,
                                          const v1::GetTimelineRequest& request,
                                          const v1::TaskInfo& task,
                                          const std::vector<v1::PassInfo>& passes,
                                          const PassKnowledge& knowledge);

}  // namespace sextant::analysis
