// The longest chain of regions and barriers through a run, the slack of what is off it, and what-if.
#pragma once

#include "absl/status/statusor.h"
#include "server/analysis/evidence.h"
#include "sextant/v1/analysis.pb.h"

namespace sextant::analysis {

// A run is one CTA of one launch in one pass. Runs are ordered by their span (from the begin of the CTA to
// its last event), and the path of the one at each quantile of the subject is given; shares and slack are
// of up to nine runs around it. The path ends with the last event of the CTA and is followed backwards
// (event_graph.h): to what was before on the same warp, or from a wait that had to wait to the signal
// that ended it. The time between that signal and the end of the wait is the wait's, so where a copy
// engine completes the barrier it is the copy's time that is not hidden.
//
// What-if: the graph of each run around the median is replayed with the region's instances shortened
// (those of a wait: its lag); predicted_ns is the median span times the median ratio. Without requests the
// regions with the largest shares of the median path are shortened by 10 %, in all roles that record them, and
// waits among them also by all. The graph does not know what warps share: no prediction is shorter than what the busiest
// unit needs for its work (unit_floor.h), and a note says which unit held which back.
//
// At most about four million events of traces are read: of more, every n-th pass. Of runs with
// more than two million events none is judged. Notes say so.
//
// A pass without waits and signals gives no path but an abstention. INVALID_ARGUMENT: a what-if names a role
// or region that was not recorded; says which were.
absl::StatusOr<v1::CriticalPath> FindCriticalPath(const Evidence& evidence,
                                                  const v1::GetCriticalPathRequest& request);

}  // namespace sextant::analysis
