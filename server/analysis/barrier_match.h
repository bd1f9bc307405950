// Which signals complete which waits (docs/tables.md, "Barriers as edges").
#pragma once

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "server/analysis/event_graph.h"

namespace sextant::analysis {

// A wait and the last of the signals that completed its barrier; indices of warps and of their marks.
struct MatchedWait {
  uint32_t wait_warp = 0;
  uint32_t wait_mark = 0;
  uint32_t signal_warp = 0;
  uint32_t signal_mark = 0;
};

struct BarrierMatch {
  std::vector<MatchedWait> matched;
  std::vector<UnmatchedWaits> left;   // in order of barrier
};

// The k-th completion of a slot is made by every warp's k-th signal to it, the last of which counts;
// wait k of a warp meets completion k − shift. The shift is one for all slots of a barrier: 0, or 1
// where waits pass on the fresh barrier. Where a warp with marks of the barrier lost its head, ranks
// count from the last mark, and wait k from the end meets completion k + shift from the end, of shift
// 0, 1 or 2.
//
// Of these the shift with the latest signals is taken for which nine in ten waits do not end more than
// 64 units before their signal (whose clock is read just after the arrival): a wait cannot end before
// what it waits for, and a barrier is not completed again before who waits for it has passed. The
// others of the ten have no edge, and where no shift fits the barrier has none.
BarrierMatch MatchBarriers(absl::Span<const RunWarp> warps);

}  // namespace sextant::analysis
